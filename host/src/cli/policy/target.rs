//! Which directory a command is about.

use std::path::PathBuf;

use clap::Args;

use crate::cli::policies;
use crate::components::PoliciesOptions;
use crate::config::Config;

#[derive(Debug, Args)]
pub(super) struct Target {
    /// The policy directory [default: the configuration's, or `policies` beside this program, or above it].
    #[arg(long, value_name = "DIR", env = "PGHEAL_POLICIES_DIR")]
    pub dir: Option<PathBuf>,
    /// The daemon's configuration file (pgheal.toml).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Target {
    pub(super) fn options(&self) -> anyhow::Result<PoliciesOptions> {
        let config = match &self.config {
            Some(path) => Config::load(path)?,
            None => Config::default(),
        };
        policies::options(self.dir.as_deref(), &config)
    }
}
