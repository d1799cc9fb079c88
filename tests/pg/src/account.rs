use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// The user as whom the server runs. PostgreSQL refuses to run as root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    /// The user who runs this program.
    Own,
    Other {
        uid: u32,
        gid: u32,
    },
}

impl Account {
    /// The own user, or for root `postgres` where there is one, else `nobody`.
    pub(crate) fn choose() -> Result<Account> {
        // SAFETY: geteuid has no preconditions.
        if unsafe { libc::geteuid() } != 0 {
            return Ok(Account::Own);
        }
        for name in ["postgres", "nobody"] {
            if let Some(account) = lookup(name)? {
                return Ok(account);
            }
        }
        bail!(
            "PostgreSQL does not run as root, and there is neither a user postgres nor nobody: run this as another user"
        )
    }

    /// Whether the account can reach `path` through all its parents, and enter or read it.
    pub(crate) fn can_reach(self, path: &Path) -> bool {
        let Account::Other { uid, gid } = self else { return true };
        path.ancestors().filter(|part| !part.as_os_str().is_empty()).all(|part| {
            part.metadata().is_ok_and(|meta| {
                let needed = if meta.is_dir() { 0o1 } else { 0o4 };
                let shift = if meta.uid() == uid {
                    6
                } else if meta.gid() == gid {
                    3
                } else {
                    0
                };
                meta.mode() >> shift & needed == needed
            })
        })
    }

    /// Gives `path` to the account.
    pub(crate) fn own(self, path: &Path) -> Result<()> {
        let Account::Other { uid, gid } = self else { return Ok(()) };
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).with_context(|| format!("giving {} away", path.display()))
    }
}

fn lookup(name: &str) -> Result<Option<Account>> {
    let name = CString::new(name)?;
    let mut buffer = vec![0; 16 << 10];
    // SAFETY: passwd is plain old data, for which zeroes are valid.
    let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
    let mut found = std::ptr::null_mut();
    // SAFETY: every pointer is valid for the call, and the buffer's length is its own.
    let code = unsafe { libc::getpwnam_r(name.as_ptr(), &mut entry, buffer.as_mut_ptr(), buffer.len(), &mut found) };
    if found.is_null() {
        return match code {
            0 => Ok(None),
            code => Err(std::io::Error::from_raw_os_error(code)).context("reading the list of users"),
        };
    }
    Ok(Some(Account::Other { uid: entry.pw_uid, gid: entry.pw_gid }))
}
