use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pgheal::components::{Limits, Policies, PoliciesOptions};

use super::world::workspace;

/// A built component: one that ships, or one that misbehaves.
pub fn component(name: &str) -> Result<Vec<u8>> {
    let shipped = std::env::var_os("PGHEAL_POLICIES_DIR").map(PathBuf::from);
    let shipped = shipped.unwrap_or_else(|| workspace().join("target/policies"));
    let found =
        [shipped.clone(), shipped.join("../test-policies")].iter().map(|dir| dir.join(name)).find(|p| p.exists());
    let path = found.with_context(|| format!("{name} is not built: cargo xtask guests"))?;
    Ok(fs::read(path)?)
}

/// Another version that does the same: with a custom section (id 0, size, name, payload) that holds the number.
pub fn version_of(component: &[u8], number: u32) -> Vec<u8> {
    let name = b"version";
    let mut section = vec![name.len() as u8];
    section.extend(name);
    section.extend(number.to_le_bytes());
    let mut bytes = component.to_vec();
    bytes.push(0);
    // Below 128, a LEB128 is the number itself.
    bytes.push(section.len() as u8);
    bytes.extend(section);
    bytes
}

/// A policy directory of its own, removed with its value.
pub struct PolicyDirectory(pub PathBuf);

impl PolicyDirectory {
    pub fn new(name: &str) -> Result<PolicyDirectory> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pgheal-policies-{}-{number}-{name}", std::process::id()));
        fs::DirBuilder::new().mode(0o755).create(&path)?;
        Ok(PolicyDirectory(path))
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    pub fn state(&self, file: &str) -> PathBuf {
        self.0.join(".pgheal").join(file)
    }

    /// Puts a file there as a whole.
    pub fn put(&self, file: &str, bytes: &[u8]) -> Result<()> {
        let beside = self.0.join(format!(".{file}.part"));
        fs::write(&beside, bytes)?;
        Ok(fs::rename(beside, self.0.join(file))?)
    }

    pub fn options(&self) -> PoliciesOptions {
        let mut options = PoliciesOptions::new(&self.0);
        options.configs.limits = Limits { concurrent_calls: 8, ..Limits::default() };
        options
    }

    pub async fn open(&self) -> Result<std::sync::Arc<Policies>> {
        Policies::open(self.options()).await
    }
}

impl Drop for PolicyDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Looks until it holds, or fails after 30 s.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<Duration> {
    let began = Instant::now();
    while !holds() {
        ensure!(began.elapsed() < Duration::from_secs(30), "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(began.elapsed())
}

pub fn names_in(directory: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
