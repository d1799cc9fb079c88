use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::lifecycle::read_policy;
use super::load::{Loaded, load};
use super::sandbox::Sandbox;
use super::{LoadFailure, PolicyConfigs, PolicyInfo, PrioritizerPolicy, StrategyPolicy, Trust};

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
    pub async fn load(path: &Path, configs: PolicyConfigs, trust: &Trust) -> Result<Result<SinglePolicy, LoadFailure>> {
        let sandbox = Sandbox::new(configs)?;
        let path = fs::canonicalize(path).with_context(|| path.display().to_string())?;
        let dir = path.parent().context("a file lies in a directory")?;
        let content = match read_policy(dir, &path, sandbox.configs.limits.component_bytes) {
            Ok(content) => content,
            Err(failure) => return Ok(Err(failure)),
        };
        let loaded = load(&sandbox, None, trust, &path, &content.bytes, &content.digest).await;
        Ok(loaded.map(|loaded| match loaded {
            Loaded::Strategy(policy) => SinglePolicy::Strategy(policy),
            Loaded::Prioritizer(policy) => SinglePolicy::Prioritizer(policy),
        }))
    }

    pub fn info(&self) -> &PolicyInfo {
        match self {
            SinglePolicy::Strategy(policy) => policy.info(),
            SinglePolicy::Prioritizer(policy) => policy.info(),
        }
    }
}
