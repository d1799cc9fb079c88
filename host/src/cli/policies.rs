use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use super::arguments::Common;
use crate::components::{LoadFailure, Policies, PoliciesOptions, Trust};
use crate::config::Config;

/// The configuration of a command: the file's, or the defaults.
pub(super) fn config(common: &Common) -> anyhow::Result<Config> {
    Ok(match &common.config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    })
}

/// Where the policies come from, and how they are treated: the directory from the option, else from the configuration,
/// else from beside the program.
pub(super) fn options(directory: Option<&Path>, config: &Config) -> anyhow::Result<PoliciesOptions> {
    let directory = match directory.or(config.policies.directory.as_deref()) {
        Some(directory) => directory.to_owned(),
        None => beside_program()?,
    };
    let mut options = PoliciesOptions::new(directory);
    options.state_dir = config.policies.state_directory.clone();
    options.cache_dir = cache_directory();
    options.configs = config.policy_configs();
    options.trust = trust(config)?;
    Ok(options)
}

/// Loads the policies, without serving their directory.
pub(super) async fn open(options: PoliciesOptions) -> anyhow::Result<Arc<Policies>> {
    let directory = options.directory.clone();
    Policies::open(options).await.with_context(|| format!("the policies in {}", directory.display()))
}

/// The same, with the files that do not serve.
pub(super) async fn load(
    directory: Option<&Path>,
    config: &Config,
) -> anyhow::Result<(Arc<Policies>, Vec<LoadFailure>)> {
    let policies = open(options(directory, config)?).await?;
    let failures = policies.failures();
    Ok((policies, failures))
}

/// Whom the configuration trusts.
pub(super) fn trust(config: &Config) -> anyhow::Result<Trust> {
    Trust::new(&config.policies.trusted_keys).context("the configuration's [policies]")
}

/// Where policies lie by a program of this path, the likeliest first: beside it, in the directory above it (a build's
/// `target/`), or where a package puts them (`/usr/bin/pgheal` and `/usr/lib/pgheal/policies`).
fn candidates(program: &Path) -> Vec<PathBuf> {
    let above = |generations: usize| program.ancestors().nth(generations);
    let directories = [above(1).map(|d| d.join("policies")), above(2).map(|d| d.join("policies"))];
    directories.into_iter().chain([above(2).map(|d| d.join("lib/pgheal/policies"))]).flatten().collect()
}

/// The first of those that is there, else the first one, for the error to name.
fn beside_program() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("where this program is")?;
    let candidates = candidates(&program);
    let found = candidates.iter().find(|directory| directory.is_dir()).or(candidates.first());
    found.cloned().context("this program lies in no directory")
}

/// Compiled policies are kept for the next start in the user's cache directory, where there is one.
fn cache_directory() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    base.is_absolute().then(|| base.join("pgheal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_looked_for_by_the_program() {
        let check = |program: &str, expected: &[&str]| {
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(candidates(Path::new(program)), expected);
        };
        check("/usr/bin/pgheal", &["/usr/bin/policies", "/usr/policies", "/usr/lib/pgheal/policies"]);
        check(
            "/src/target/release/pgheal",
            &["/src/target/release/policies", "/src/target/policies", "/src/target/lib/pgheal/policies"],
        );
        check("/pgheal", &["/policies"]);
    }
}
