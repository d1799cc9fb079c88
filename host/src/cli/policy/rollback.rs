use std::time::Duration;

use clap::Args;

use super::target::Target;
use super::tell;
use crate::cli::output::say;
use crate::cli::{ExitStatus, policies};
use crate::components::wait_until_active;

#[derive(Debug, Args)]
pub struct RollbackCommand {
    /// The policy's name.
    name: String,
    /// The version to return to: the first characters of its digest [default: the one before the one that serves].
    #[arg(long, value_name = "DIGEST")]
    to: Option<String>,
    #[command(flatten)]
    target: Target,
    /// How long to wait for the daemon.
    #[arg(long, value_name = "N", default_value_t = 60)]
    timeout_secs: u64,
}

pub(super) async fn rollback(command: RollbackCommand) -> anyhow::Result<ExitStatus> {
    let options = command.target.options()?;
    let policies = policies::open(options.clone()).await?;
    let placed = policies.roll_back(&command.name, command.to.as_deref()).await?;
    say!("{}", tell::placed(&placed, &options));
    let waited = wait_until_active(&options, &placed, Duration::from_secs(command.timeout_secs)).await;
    Ok(tell::waited(&waited))
}
