//! The state directory: versions, what is remembered, what is told.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::durable;
use super::file;
use super::state::{FORMAT, Origin, State};
use super::status::PoliciesStatus;
use super::{file_name, now_ms};

/// The state directory is one user's; what lies in it is nobody else's either.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// Another user (root) may leave an intent for the daemon, which has to read it. The directory hides it from others.
const INTENT_MODE: u32 = 0o644;
/// A line for each key.
const SIGNATURE_BYTES: u64 = 64 << 10;
/// Whoever asks whether a daemon serves holds the lock for a moment.
const LOCK_ATTEMPTS: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// An intent whose file never came.
const INTENT_STALE_MS: u64 = 24 * 3_600 * 1_000;

pub(super) struct Store {
    dir: PathBuf,
}

/// What was put into the policy directory on purpose; written before the file itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Intent {
    pub(super) digest: String,
    pub(super) origin: Origin,
    /// Lifts a quarantine of this version.
    pub(super) force: bool,
    pub(super) from: Option<String>,
    pub(super) when_ms: u64,
}

/// Why `state.json` gives nothing.
pub(super) enum Unreadable {
    /// Damaged: it is moved aside and a new one begun.
    Damaged(String),
    /// It must stay as it is.
    Untouchable(anyhow::Error),
}

impl Store {
    /// The directory where it is there already.
    ///
    /// # Errors
    /// Where it is not private, or belongs to neither this user nor the policy directory's owner.
    pub(super) fn open(dir: &Path, policy_dir: &Path) -> Result<Option<Store>> {
        let found = match fs::symlink_metadata(dir) {
            Ok(found) => found,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("the state directory {}", dir.display())),
        };
        ensure!(found.is_dir(), "the state directory {} is not a directory", dir.display());
        ensure!(
            found.permissions().mode() & 0o077 == 0,
            "the state directory {} is open to other users; chmod 700 it",
            dir.display()
        );
        let owner_of_policies = fs::metadata(policy_dir).map(|found| found.uid()).ok();
        ensure!(
            found.uid() == own_user() || Some(found.uid()) == owner_of_policies,
            "the state directory {} belongs to another user",
            dir.display()
        );
        Ok(Some(Store { dir: dir.to_owned() }))
    }

    /// The directory, made where it is missing.
    pub(super) fn create(dir: &Path, policy_dir: &Path) -> Result<Store> {
        if fs::symlink_metadata(dir).is_err() {
            DirBuilder::new()
                .mode(DIRECTORY_MODE)
                .create(dir)
                .with_context(|| format!("the state directory {} cannot be made", dir.display()))?;
        }
        let store =
            Store::open(dir, policy_dir)?.with_context(|| format!("the state directory {} is gone", dir.display()))?;
        for inner in [store.dir.join("versions"), store.dir.join("intents")] {
            match DirBuilder::new().mode(DIRECTORY_MODE).create(&inner) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(error).with_context(|| format!("{} cannot be made", inner.display()));
                }
                _ => {}
            }
        }
        Ok(store)
    }

    /// Takes the lock of the one daemon that serves the directory; None where another one has it.
    pub(super) fn lock(&self) -> Result<Option<File>> {
        let path = self.dir.join("lock");
        // Not truncated before the lock is had: the content is the holder's.
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&path)
            .with_context(|| format!("{} cannot be opened", path.display()))?;
        for attempt in 1..=LOCK_ATTEMPTS {
            match file.try_lock() {
                Ok(()) => {
                    file.set_len(0)?;
                    file.write_all(std::process::id().to_string().as_bytes())?;
                    return Ok(Some(file));
                }
                Err(TryLockError::WouldBlock) if attempt < LOCK_ATTEMPTS => thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// The process that serves the directory at this moment.
    pub(super) fn served_by(&self) -> Option<u32> {
        let path = self.dir.join("lock");
        let file = File::open(&path).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => fs::read_to_string(&path).ok()?.trim().parse().ok(),
            _ => None,
        }
    }

    /// What was remembered; nothing where nothing was.
    pub(super) fn state(&self) -> Result<State, Unreadable> {
        let path = self.dir.join("state.json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(State::default()),
            Err(error) => {
                let error = anyhow::Error::from(error).context(format!("{} cannot be read", path.display()));
                return Err(Unreadable::Untouchable(error));
            }
        };
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let damaged = |error: serde_json::Error| Unreadable::Damaged(error.to_string());
        let Format { format } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if format > FORMAT {
            return Err(Unreadable::Untouchable(anyhow::anyhow!(
                "{} was written by a newer pgheal (format {format}, this one knows {FORMAT})",
                path.display()
            )));
        }
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    /// Puts a damaged `state.json` out of the way, for somebody to look at.
    pub(super) fn move_state_aside(&self) -> Result<PathBuf> {
        let aside = self.dir.join(format!("state.json.damaged-{}", now_ms()));
        fs::rename(self.dir.join("state.json"), &aside)?;
        Ok(aside)
    }

    pub(super) fn save_state(&self, state: &State) -> Result<()> {
        self.write_json("state.json", state)
    }

    pub(super) fn save_status(&self, status: &PoliciesStatus) -> Result<()> {
        self.write_json("status.json", status)
    }

    /// What the daemon last told; None where it never did.
    pub(super) fn status(&self) -> Option<PoliciesStatus> {
        serde_json::from_slice(&fs::read(self.dir.join("status.json")).ok()?).ok()
    }

    /// Keeps the bytes of a version.
    pub(super) fn keep(&self, digest: &str, bytes: &[u8]) -> Result<()> {
        let path = self.version_path(digest)?;
        durable::write(&path, bytes, FILE_MODE).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Keeps the signature that lies beside a version's file, where there is one.
    pub(super) fn keep_signature(&self, digest: &str, beside: &Path) -> Result<()> {
        copy_signature(beside, &self.version_path(digest)?, FILE_MODE)
    }

    pub(super) fn has(&self, digest: &str) -> bool {
        self.version_path(digest).is_ok_and(|path| path.is_file())
    }

    /// A kept version's bytes, as they were.
    ///
    /// # Errors
    /// Where it is not there, or damaged.
    pub(super) fn version(&self, digest: &str, limit_bytes: u64) -> Result<Vec<u8>> {
        let path = self.version_path(digest)?;
        let content = file::read(None, &path, limit_bytes)
            .with_context(|| format!("version {digest} is not kept in {}", self.dir.display()))?;
        ensure!(content.digest == digest, "{} is damaged: its content has another digest", path.display());
        Ok(content.bytes)
    }

    pub(super) fn forget(&self, digest: &str) {
        let Ok(path) = self.version_path(digest) else { return };
        if let Err(error) = fs::remove_file(&path) {
            tracing::debug!("{} is not removed: {error}", path.display());
        }
        // Most versions have none.
        let _ = fs::remove_file(signature_of(&path));
    }

    /// The digests of kept versions that begin so.
    pub(super) fn versions_beginning(&self, beginning: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.dir.join("versions")) else { return Vec::new() };
        let mut found: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_string_lossy().strip_suffix(".wasm").map(str::to_owned))
            .filter(|digest| digest.starts_with(beginning))
            .collect();
        found.sort();
        found
    }

    pub(super) fn announce(&self, intent: &Intent) -> Result<()> {
        let path = self.dir.join("intents").join(format!("{}.json", checked(&intent.digest)?));
        let bytes = serde_json::to_vec(intent)?;
        durable::write(&path, &bytes, INTENT_MODE).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// What was announced and is not old.
    pub(super) fn intents(&self) -> Vec<Intent> {
        let Ok(entries) = fs::read_dir(self.dir.join("intents")) else { return Vec::new() };
        let read = |path: PathBuf| serde_json::from_slice::<Intent>(&fs::read(path).ok()?).ok();
        let is_new = |intent: &Intent| now_ms().saturating_sub(intent.when_ms) < INTENT_STALE_MS;
        entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .filter_map(read)
            .filter(is_new)
            .collect()
    }

    /// An intent is done with.
    pub(super) fn withdraw(&self, digest: &str) {
        if let Ok(digest) = checked(digest) {
            // Where it stays, it is stale in a day.
            let _ = fs::remove_file(self.dir.join("intents").join(format!("{digest}.json")));
        }
    }

    /// What killed processes left.
    pub(super) fn sweep(&self) {
        for dir in [self.dir.clone(), self.dir.join("versions"), self.dir.join("intents")] {
            durable::sweep(&dir);
        }
    }

    pub(super) fn version_path(&self, digest: &str) -> Result<PathBuf> {
        Ok(self.dir.join("versions").join(format!("{}.wasm", checked(digest)?)))
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let path = self.dir.join(name);
        let bytes = serde_json::to_vec_pretty(value)?;
        durable::write(&path, &bytes, FILE_MODE).with_context(|| format!("{} cannot be written", path.display()))
    }
}

/// Where the signature of a component lies: `NAME.wasm.sig` beside `NAME.wasm`.
fn signature_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

/// Copies the signature of one component's file to another's, where there is one.
///
/// # Errors
/// Where it cannot be read or written, or is far too large for one.
pub(super) fn copy_signature(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let (from, to) = (signature_of(from), signature_of(to));
    if from == to || fs::symlink_metadata(&from).is_err() {
        return Ok(());
    }
    let content =
        file::read(None, &from, SIGNATURE_BYTES).with_context(|| format!("the signature {}", from.display()))?;
    durable::write(&to, &content.bytes, mode).with_context(|| format!("{} cannot be written", to.display()))
}

/// Digests become names of files.
fn checked(digest: &str) -> Result<&str> {
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if digest.len() != 64 || !digest.chars().all(is_hex) {
        bail!("{digest:?} is not a SHA-256 in hex");
    }
    Ok(digest)
}

/// Whether this user may make the state directory: it has to be the daemon's, and whose that is, nobody knows
/// before its first start.
pub(super) fn may_create(policy_dir: &Path) -> bool {
    fs::metadata(policy_dir).is_ok_and(|found| found.uid() == own_user())
}

fn own_user() -> u32 {
    // SAFETY: it only returns a number, and cannot fail.
    unsafe { libc::geteuid() }
}

/// The name of the file that a policy is deployed to where no file holds it yet.
pub(super) fn file_of(name: &str) -> String {
    format!("{name}.wasm")
}

/// Where a policy's file lies, by what is remembered.
pub(super) fn remembered_file(state: &State, name: &str) -> Option<String> {
    let policy = state.policies.get(name)?;
    let file = file_name(Path::new(&policy.file));
    (policy.retired_ms.is_none() && file == policy.file && file.ends_with(".wasm")).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digests_become_names() {
        let check = |digest: &str, expected: bool| assert_eq!(checked(digest).is_ok(), expected, "{digest}");
        check(&"a0".repeat(32), true);
        check(&"A0".repeat(32), false);
        check("../../etc/passwd", false);
        check("", false);
    }
}
