use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::target::Target;
use super::tell;
use crate::cli::output::say;
use crate::cli::{ExitStatus, policies};
use crate::components::{LoadFailure, wait_until_active};

#[derive(Debug, Args)]
pub struct DeployCommand {
    /// The component (.wasm).
    file: PathBuf,
    #[command(flatten)]
    target: Target,
    /// Deploys a version although it is in quarantine, and lifts that.
    #[arg(long)]
    force: bool,
    /// How long to wait for the daemon.
    #[arg(long, value_name = "N", default_value_t = 60)]
    timeout_secs: u64,
}

pub(super) async fn deploy(command: DeployCommand) -> anyhow::Result<ExitStatus> {
    let options = command.target.options()?;
    let policies = policies::open(options.clone()).await?;
    let placed = match policies.deploy(&command.file, command.force).await {
        Ok(placed) => placed,
        Err(error) => {
            return match error.downcast_ref::<LoadFailure>() {
                Some(failure) => {
                    say!("Not deployed, and nothing was changed: {failure}");
                    Ok(ExitStatus::RolledBack)
                }
                None => Err(error),
            };
        }
    };
    say!("{}", tell::placed(&placed, &options));
    let waited = wait_until_active(&options, &placed, Duration::from_secs(command.timeout_secs)).await;
    Ok(tell::waited(&waited))
}
