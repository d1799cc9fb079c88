use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::components::Limits;

/// Decides whether a file may be loaded at all, before anything of it is compiled: path, content, SHA-256 in hex.
pub type Admission = Arc<dyn Fn(&Path, &[u8], &str) -> Result<(), String> + Send + Sync>;

/// Where policies come from, and how they are treated.
#[derive(Clone)]
pub struct PoliciesOptions {
    /// Its `*.wasm` files say what should serve.
    pub directory: PathBuf,
    /// Versions that served, and what became of them; None: `.pgheal` in the directory.
    pub state_dir: Option<PathBuf>,
    /// Compiled components, for the next start; None: nothing is kept.
    pub cache_dir: Option<PathBuf>,
    pub limits: Limits,
    /// So many traps, exceeded limits or invalid results within 24 hours take a version out of service; 0: never.
    pub max_strikes: u32,
    /// None: every file may be loaded.
    pub admission: Option<Admission>,
}

impl PoliciesOptions {
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        PoliciesOptions {
            directory: directory.into(),
            state_dir: None,
            cache_dir: None,
            limits: Limits::default(),
            max_strikes: 3,
            admission: None,
        }
    }

    pub fn state_directory(&self) -> PathBuf {
        self.state_dir.clone().unwrap_or_else(|| self.directory.join(".pgheal"))
    }
}

impl fmt::Debug for PoliciesOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoliciesOptions")
            .field("directory", &self.directory)
            .field("state_dir", &self.state_dir)
            .field("cache_dir", &self.cache_dir)
            .field("limits", &self.limits)
            .field("max_strikes", &self.max_strikes)
            .field("admission", &self.admission.is_some())
            .finish()
    }
}
