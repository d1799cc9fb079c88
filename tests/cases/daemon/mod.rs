//! The daemon's core: many databases at once, the lead, settings and their sources, repairs that somebody asks for.

mod abused;
mod asked;
mod failover;
mod many;
mod program;
mod settings;
mod ten;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pgheal::components::{Policies, PoliciesOptions};
use pgheal::config::Config;
use pgheal::daemon::api::{Caller, Engine, Role, TargetView};
use pgheal::daemon::{Daemon, DaemonOptions};

use super::support::{ConfigFile, workspace};

/// Nothing that these cases wait for takes so long on the slowest machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A daemon within this process.
pub struct Running {
    pub daemon: Arc<Daemon>,
    pub config: ConfigFile,
}

impl Running {
    pub async fn start(name: &str, toml: &str) -> Result<Running> {
        let config = ConfigFile::write(name, toml)?;
        let directory = std::env::var_os("PGHEAL_POLICIES_DIR").map(PathBuf::from);
        let directory = directory.unwrap_or_else(|| workspace().join("target/policies"));
        let (policies, failures) = Policies::load(PoliciesOptions::new(directory)).await?;
        anyhow::ensure!(failures.is_empty(), "{failures:?}");
        let options = DaemonOptions { config_path: config.0.clone(), ..DaemonOptions::default() };
        let daemon =
            Daemon::start(Config::load(&config.0)?, options, Arc::new(policies)).map_err(anyhow::Error::msg)?;
        Ok(Running { daemon, config })
    }

    pub fn view(&self, target: &str) -> Result<Arc<TargetView>> {
        let targets = self.daemon.targets();
        targets.into_iter().find(|view| view.name == target).with_context(|| format!("no target {target}"))
    }

    /// The target as it is when that holds.
    pub async fn until(
        &self,
        target: &str,
        what: &str,
        holds: impl Fn(&TargetView) -> bool,
    ) -> Result<Arc<TargetView>> {
        let began = Instant::now();
        loop {
            let view = self.view(target)?;
            if holds(&view) {
                return Ok(view);
            }
            if began.elapsed() > DEADLINE {
                bail!("{target}, in vain: {what}: {view:#?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn stop(self) {
        self.daemon.stop(std::future::pending()).await;
    }
}

pub fn caller(role: Role) -> Caller {
    Caller { name: role.name().to_owned(), role }
}

/// Looks until there is an answer.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if began.elapsed() > DEADLINE {
            bail!("in vain: {what}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
