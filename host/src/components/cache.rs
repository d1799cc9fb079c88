use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

const DIGEST_BYTES: usize = 32;

/// Compiled components on disk, so that a start does not compile again. A file is the SHA-256 of what follows,
/// then wasmtime's artifact; its name holds the component's digest and the engine's compatibility hash.
pub(super) struct CompileCache {
    dir: PathBuf,
    engine_hash: String,
    /// The user that this process creates files as.
    uid: u32,
}

impl CompileCache {
    /// Creates the directory where it is missing, for this user alone.
    ///
    /// # Errors
    /// Where the directory belongs to somebody else or others may write to it: whoever can write there could
    /// run machine code in this process.
    pub(super) fn open(dir: &Path, engine: &Engine) -> Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("cannot create the compile cache {}", dir.display()))?;
        let found = fs::symlink_metadata(dir)?;
        ensure!(found.is_dir(), "the compile cache {} is not a directory", dir.display());
        ensure!(
            found.permissions().mode() & 0o077 == 0,
            "the compile cache {} is open to other users; chmod 700 it",
            dir.display()
        );
        let probe = dir.join(format!(".probe-{}", std::process::id()));
        let uid = create(&probe).and_then(|file| Ok(file.metadata()?.uid()))?;
        fs::remove_file(&probe)?;
        ensure!(found.uid() == uid, "the compile cache {} belongs to another user", dir.display());
        Ok(CompileCache { dir: dir.to_owned(), engine_hash: engine_hash(engine), uid })
    }

    /// The compiled component, where this host compiled it before.
    pub(super) fn get(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(digest);
        match self.read(engine, &path) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(path = %path.display(), "compiled policy not used: {error:#}");
                None
            }
        }
    }

    fn read(&self, engine: &Engine, path: &Path) -> Result<Option<Component>> {
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        ensure!(found.is_file() && found.uid() == self.uid, "it is not a file of this user");
        ensure!(found.permissions().mode() & 0o022 == 0, "others may write to it");
        let bytes = fs::read(path)?;
        let Some((digest, artifact)) = bytes.split_at_checked(DIGEST_BYTES) else { bail!("it is too short") };
        ensure!(Sha256::digest(artifact)[..] == *digest, "it is damaged");
        // SAFETY: the artifact must come from `Component::serialize` of a compatible engine, unmodified. The
        // directory and the file belong to this user and nobody else can write to them (checked above), only
        // `put` writes there, the digest excludes damage, and the name holds the compatibility hash of this
        // engine, which wasmtime checks once more.
        Ok(Some(unsafe { Component::deserialize(engine, artifact) }?))
    }

    /// Keeps a compiled component for the next start. A reader never sees half a file.
    pub(super) fn put(&self, digest: &str, component: &Component) -> Result<()> {
        let artifact = component.serialize()?;
        let path = self.path(digest);
        let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
        let mut file = create(&unfinished)?;
        let written = file
            .write_all(&Sha256::digest(&artifact))
            .and_then(|()| file.write_all(&artifact))
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&unfinished, &path));
        written.inspect_err(|_| {
            let _ = fs::remove_file(&unfinished);
        })?;
        Ok(())
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{digest}-{}.cwasm", self.engine_hash))
    }
}

fn create(path: &Path) -> std::io::Result<File> {
    let _ = fs::remove_file(path);
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn engine_hash(engine: &Engine) -> String {
    use std::hash::Hash;
    let mut hasher = Stable(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    crate::hex::encode(&hasher.0.finalize()[..8])
}

/// A hasher whose result is the same in every process.
struct Stable(Sha256);

impl std::hash::Hasher for Stable {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest[..8].iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }
}
