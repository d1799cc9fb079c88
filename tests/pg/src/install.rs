use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// A PostgreSQL installation: where its programs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    bin: PathBuf,
}

impl Install {
    /// The installation with this `bin` directory's parent as its root.
    pub fn at(root: &Path) -> Result<Install> {
        let bin = root.join("bin");
        for program in ["initdb", "postgres"] {
            ensure!(bin.join(program).is_file(), "{} has no {program}", bin.display());
        }
        Ok(Install { bin })
    }

    /// The installation that a `pg_config` program belongs to.
    pub fn from_pg_config(pg_config: &Path) -> Result<Install> {
        let output = Command::new(pg_config)
            .arg("--bindir")
            .output()
            .with_context(|| format!("PGHEAL_PG_CONFIG: {} cannot be run", pg_config.display()))?;
        ensure!(output.status.success(), "{} --bindir failed: {}", pg_config.display(), output.status);
        let bin = PathBuf::from(String::from_utf8(output.stdout)?.trim());
        let root = bin.parent().with_context(|| format!("{} has no parent", bin.display()))?;
        Install::at(root)
    }

    /// `PGHEAL_TEST_PG` (the root of an installation), else `PGHEAL_PG_CONFIG` (the path of a pg_config).
    /// None where neither is set.
    pub fn from_environment() -> Result<Option<Install>> {
        if let Some(root) = std::env::var_os("PGHEAL_TEST_PG") {
            return Install::at(Path::new(&root)).context("PGHEAL_TEST_PG").map(Some);
        }
        match std::env::var_os("PGHEAL_PG_CONFIG") {
            Some(path) => Install::from_pg_config(Path::new(&path)).map(Some),
            None => Ok(None),
        }
    }

    pub fn root(&self) -> &Path {
        self.bin.parent().unwrap_or(&self.bin)
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// For example `18.6`.
    pub fn version(&self) -> Result<String> {
        let output = Command::new(self.program("postgres")).arg("--version").output()?;
        let text = String::from_utf8(output.stdout)?;
        match text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())) {
            Some(version) if output.status.success() => Ok(version.to_owned()),
            _ => bail!("{} --version says {text:?}", self.program("postgres").display()),
        }
    }
}
