//! Files that are there as a whole or not at all, whatever ends the process or the machine.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

/// How the names of unfinished files end; nothing that reads a directory takes them for more.
const UNFINISHED: &str = ".unfinished";
/// No write takes this long: an older unfinished file was left by a process that was killed.
const LEFT_BEHIND: Duration = Duration::from_secs(600);

/// Writes beside, syncs, renames, and syncs the directory.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    write_with(path, bytes, mode, || ())
}

/// The same; `before_rename` runs when all is ready.
pub(super) fn write_with(path: &Path, bytes: &[u8], mode: u32, before_rename: impl FnOnce()) -> io::Result<()> {
    let unfinished = unfinished_beside(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&unfinished)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .map(|()| before_rename())
        .and_then(|()| fs::rename(&unfinished, path));
    written.inspect_err(|_| {
        // The error that counts is the one before.
        let _ = fs::remove_file(&unfinished);
    })?;
    sync_directory_of(path)
}

/// Makes a rename, a creation or a removal in the file's directory last.
pub(super) fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Whether this is the name of an unfinished file.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(UNFINISHED)
}

/// Removes the unfinished files that killed processes left in a directory.
pub(super) fn sweep(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let is_old = entry
            .metadata()
            .and_then(|found| found.modified())
            .is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > LEFT_BEHIND));
        if is_old && is_unfinished(&entry.file_name().to_string_lossy()) {
            // Where it cannot be removed, it harms nobody.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn unfinished_beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Relaxed);
    let name = super::file_name(path);
    path.with_file_name(format!(".{name}.{}-{number}{UNFINISHED}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_as_a_whole_and_nothing_is_left_beside_it() {
        let dir = std::env::temp_dir().join(format!("pgheal-durable-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("a.wasm");
        write(&path, b"one", 0o600).unwrap();
        write_with(&path, b"two", 0o600, || assert_eq!(fs::read(&path).unwrap(), b"one")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        assert!(write(&dir.join("nowhere/a"), b"", 0o600).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn unfinished_names_are_told_apart() {
        let check = |name: &str, expected: bool| assert_eq!(is_unfinished(name), expected, "{name}");
        check(&super::super::file_name(&unfinished_beside(Path::new("/x/a.wasm"))), true);
        check("a.wasm", false);
        check("a.unfinished", false);
    }
}
