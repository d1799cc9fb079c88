//! Reading a policy's file, which others may write to at any time.

use std::fs::{self, Metadata};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::components::{LoadFailure, LoadStep};
use crate::hex;

/// How often a file that changes while it is read is read again, and after which pause.
const READ_ATTEMPTS: u32 = 5;
const READ_PAUSE: Duration = Duration::from_millis(40);
/// A file's times are no finer than the kernel's clock tick: a change so soon after the last one may not show in them.
const TIMES_SETTLE_MS: u64 = 2_000;

/// The files of a directory that are meant to be policies, by name.
///
/// # Errors
/// Where the directory cannot be read.
pub(super) fn policy_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read the policy directory {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What tells a changed file from an unchanged one without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    device: u64,
    inode: u64,
    size_bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Signature {
    fn of(found: &Metadata) -> Self {
        Signature {
            device: found.dev(),
            inode: found.ino(),
            size_bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// The signature of what the path leads to; None where that cannot be looked at.
    pub(super) fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|found| Signature::of(&found))
    }

    /// Whether every change since would show in the times.
    pub(super) fn is_settled(&self, now_ms: u64) -> bool {
        let (seconds, nanoseconds) = self.modified.max(self.changed);
        let last_ms = seconds.saturating_mul(1_000).saturating_add(nanoseconds / 1_000_000);
        now_ms.saturating_sub(u64::try_from(last_ms).unwrap_or(0)) > TIMES_SETTLE_MS
    }
}

/// A file's content at one moment.
pub(in crate::components) struct Content {
    pub(in crate::components) bytes: Vec<u8>,
    /// SHA-256 in hex.
    pub(in crate::components) digest: String,
    pub(super) signature: Signature,
}

/// Reads a file that lies in `home`, or is a link to one that does; `home` None: anywhere. A file that changes
/// meanwhile is read again.
///
/// # Errors
/// Where it is no regular file, leads outside, is too large, or keeps changing.
pub(super) fn read(home: Option<&Path>, path: &Path, limit_bytes: u64) -> Result<Content> {
    for attempt in 1..=READ_ATTEMPTS {
        if let Some(content) = read_once(home, path, limit_bytes)? {
            return Ok(content);
        }
        if attempt < READ_ATTEMPTS {
            thread::sleep(READ_PAUSE);
        }
    }
    bail!("it changed while it was read, {READ_ATTEMPTS} times")
}

/// The same, with the failure of the pipeline's first step.
pub(in crate::components) fn read_policy(home: &Path, path: &Path, limit_bytes: u64) -> Result<Content, LoadFailure> {
    read(Some(home), path, limit_bytes).map_err(|error| LoadFailure {
        path: path.to_owned(),
        digest: None,
        step: LoadStep::Read,
        reason: format!("{error:#}"),
    })
}

/// None where the file changed meanwhile.
fn read_once(home: Option<&Path>, path: &Path, limit_bytes: u64) -> Result<Option<Content>> {
    let target = fs::canonicalize(path).context("it cannot be found")?;
    if let Some(home) = home {
        let home = fs::canonicalize(home).context("the policy directory cannot be found")?;
        ensure!(target.starts_with(&home), "it is a link to {}, outside of the policy directory", target.display());
    }
    let mut options = fs::OpenOptions::new();
    // Neither a pipe that took the file's place nor a link can hold this up.
    let opened = options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(&target);
    let file = match opened {
        Ok(file) => file,
        Err(_) if !fs::metadata(&target)?.is_file() => bail!("it is not a regular file"),
        Err(error) => return Err(error).context("it cannot be opened"),
    };
    let before = file.metadata()?;
    ensure!(before.is_file(), "it is not a regular file");
    ensure!(before.len() <= limit_bytes, "it is larger than {limit_bytes} bytes");
    let signature = Signature::of(&before);
    let mut bytes = Vec::with_capacity(usize::try_from(before.len()).unwrap_or(0));
    (&file).take(limit_bytes + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= limit_bytes, "it is larger than {limit_bytes} bytes");
    let unchanged = Signature::of(&file.metadata()?) == signature
        && Signature::at(path) == Some(signature)
        && bytes.len() as u64 == before.len();
    Ok(unchanged.then(|| Content { digest: hex::encode(&Sha256::digest(&bytes)), bytes, signature }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_does_not_rest_is_given_up() {
        let dir = std::env::temp_dir().join(format!("pgheal-file-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("a.wasm");
        fs::write(&path, vec![7; 8 << 20]).unwrap();
        assert_eq!(read(Some(&dir), &path, 9 << 20).map(|c| c.bytes.len()).unwrap(), 8 << 20);
        assert!(read(Some(&dir), &path, 1 << 20).err().unwrap().to_string().contains("larger than"));
        // A file of the kernel's never has the size that it tells, as if it grew with every reading.
        let reason = read(None, Path::new("/proc/self/status"), 1 << 20).err().map(|error| error.to_string());
        assert!(reason.as_deref().is_some_and(|r| r.contains("changed while it was read")), "{reason:?}");
        fs::remove_dir_all(&dir).unwrap();
    }
}
