//! `pgheal policy`: what is done with policies outside of a healing cycle.

mod deploy;
mod list;
mod rollback;
mod target;
mod tell;

use clap::Subcommand;

use super::ExitStatus;

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Verifies a component and puts it into the policy directory; waits until the daemon has it in service.
    Deploy(deploy::DeployCommand),
    /// The policies of a directory: which version serves, since when, and what went wrong.
    List(list::ListCommand),
    /// Returns to the version of a policy that served before.
    Rollback(rollback::RollbackCommand),
}

pub(super) async fn policy(command: PolicyCommand) -> anyhow::Result<ExitStatus> {
    match command {
        PolicyCommand::Deploy(command) => deploy::deploy(command).await,
        PolicyCommand::List(command) => list::list(command).await,
        PolicyCommand::Rollback(command) => rollback::rollback(command).await,
    }
}
