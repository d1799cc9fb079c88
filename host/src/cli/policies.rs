use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::arguments::Common;
use crate::components::{Limits, LoadFailure, Policies, Trust};
use crate::config::Config;

/// The configuration of a command: the file's, or the defaults.
pub(super) fn config(common: &Common) -> anyhow::Result<Config> {
    Ok(match &common.config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    })
}

/// Loads the policies: from the option, else from the configuration, else from beside the program.
pub(super) async fn load(option: Option<&Path>, config: &Config) -> anyhow::Result<(Policies, Vec<LoadFailure>)> {
    let directory = match option.or(config.policies.directory.as_deref()) {
        Some(directory) => directory.to_owned(),
        None => beside_program()?,
    };
    let mut limits = Limits::default();
    limits.effect.guest_time = Duration::from_secs(config.healing.repair_timeout_secs);
    let cache = cache_directory();
    Policies::load_trusted(&directory, &limits, cache.as_deref(), &trust(config)?)
        .await
        .with_context(|| format!("the policies in {}", directory.display()))
}

/// Whom the configuration trusts.
pub(super) fn trust(config: &Config) -> anyhow::Result<Trust> {
    Trust::new(&config.policies.trusted_keys, config.policies.pinned_digests())
        .context("the configuration's [policies]")
}

/// `policies` in the program's directory, or else in the one above it (a build's `target/`).
fn beside_program() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("where this program is")?;
    let beside = program.parent().unwrap_or(Path::new(".")).join("policies");
    let above = program.ancestors().nth(2).map(|directory| directory.join("policies"));
    Ok(above.filter(|above| !beside.is_dir() && above.is_dir()).unwrap_or(beside))
}

/// Compiled policies are kept for the next start in the user's cache directory, where there is one.
fn cache_directory() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    base.is_absolute().then(|| base.join("pgheal"))
}
