use std::fs;

use anyhow::{Result, ensure};

/// A server whose processes are all stopped, as on a machine that hangs: the kernel goes on accepting connections for it,
/// and nobody answers. They go on when this is dropped.
#[derive(Debug)]
pub struct Frozen(Vec<i32>);

impl Frozen {
    /// Of the server whose first process this is.
    pub(crate) fn freeze(postmaster: i32) -> Result<Frozen> {
        let mut frozen = Frozen(Vec::new());
        // The postmaster first: then no child is added.
        frozen.stop(postmaster)?;
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            // After the name, which is in parentheses: the state, and the parent.
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
            if parent == Some(&postmaster.to_string()) {
                frozen.stop(pid)?;
            }
        }
        ensure!(frozen.0.len() > 3, "that is no server: {:?}", frozen.0);
        Ok(frozen)
    }

    fn stop(&mut self, pid: i32) -> Result<()> {
        // SAFETY: kill takes numbers only; the process belongs to the server, which its keeper has not waited for.
        ensure!(unsafe { libc::kill(pid, libc::SIGSTOP) } == 0, "{pid}: {}", std::io::Error::last_os_error());
        self.0.push(pid);
        Ok(())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for pid in &self.0 {
            // SAFETY: as above; a stopped process does not end by itself, so its number is still its own.
            unsafe { libc::kill(*pid, libc::SIGCONT) };
        }
    }
}
