use std::path::PathBuf;

use crate::components::{PolicyConfigs, Trust};

/// Where policies come from, and how they are treated.
#[derive(Clone, Debug)]
pub struct PoliciesOptions {
    /// Its `*.wasm` files say what should serve.
    pub directory: PathBuf,
    /// Versions that served, and what became of them; None: `.pgheal` in the directory.
    pub state_dir: Option<PathBuf>,
    /// Compiled components, for the next start; None: nothing is kept.
    pub cache_dir: Option<PathBuf>,
    pub configs: PolicyConfigs,
    /// So many traps, exceeded limits or invalid results within 24 hours take a version out of service; 0: never.
    pub max_strikes: u32,
    /// Whose signatures a file needs to be loaded.
    pub trust: Trust,
}

impl PoliciesOptions {
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        PoliciesOptions {
            directory: directory.into(),
            state_dir: None,
            cache_dir: None,
            configs: PolicyConfigs::default(),
            max_strikes: 3,
            trust: Trust::default(),
        }
    }

    pub fn state_directory(&self) -> PathBuf {
        self.state_dir.clone().unwrap_or_else(|| self.directory.join(".pgheal"))
    }
}
