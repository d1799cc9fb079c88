use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::load::{Loaded, load_file};
use super::sandbox::Sandbox;
use super::{Limits, LoadFailure, PolicyInfo, PrioritizerPolicy, StrategyPolicy, Trust};

/// One policy, loaded by itself through every step that the daemon takes it through: for those who write policies.
pub enum SinglePolicy {
    Strategy(Arc<StrategyPolicy>),
    Prioritizer(Arc<PrioritizerPolicy>),
}

impl SinglePolicy {
    /// Loads a file in a sandbox of its own. The inner error is the step that the file does not pass.
    ///
    /// # Errors
    /// Where there is no such file, or the sandbox cannot be started.
    pub async fn load(path: &Path, limits: &Limits, trust: &Trust) -> Result<Result<SinglePolicy, LoadFailure>> {
        let sandbox = Sandbox::new(limits)?;
        let path = fs::canonicalize(path).with_context(|| path.display().to_string())?;
        let dir = path.parent().context("a file lies in a directory")?;
        Ok(load_file(&sandbox, None, trust, dir, &path).await.map(|loaded| match loaded {
            Loaded::Strategy(policy) => SinglePolicy::Strategy(Arc::new(policy)),
            Loaded::Prioritizer(policy) => SinglePolicy::Prioritizer(Arc::new(policy)),
        }))
    }

    pub fn info(&self) -> &PolicyInfo {
        match self {
            SinglePolicy::Strategy(policy) => policy.info(),
            SinglePolicy::Prioritizer(policy) => policy.info(),
        }
    }
}
