use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::policy::PolicyCommand;

/// Finds out when pgvector search gets worse, says why, repairs it, proves that the repair helped, and undoes it
/// when it did not.
///
/// Exit status: 0 healthy or healed, 1 issues found, 2 usage or connection, 3 a repair failed and was rolled back (or a
/// policy was not taken), 4 a rollback failed.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 110)]
pub struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Measures the vector indexes of a database and says what is wrong; changes nothing.
    Check(CheckCommand),
    /// One healing cycle in the foreground.
    Heal(HealCommand),
    /// The daemon: checks and heals until it is stopped.
    Run(RunCommand),
    /// What was repaired, how it ended and why.
    History(HistoryCommand),
    /// How a running daemon and its targets are; asks its endpoint.
    Status(StatusCommand),
    /// Writes, builds, tests, signs and deploys policies, and returns to earlier versions.
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
}

#[derive(Debug, Args)]
pub(super) struct Common {
    /// The configuration file (pgheal.toml).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The directory of the policies' .wasm files [default: `policies` beside this program, or above it].
    #[arg(long, value_name = "DIR", env = "PGHEAL_POLICIES_DIR")]
    pub policies: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct CheckCommand {
    /// postgresql://user@host:port/database; the password also comes from PGPASSWORD.
    pub url: String,
    /// Only this index: name, schema.name, or quoted.
    #[arg(long, value_name = "NAME")]
    pub index: Option<String>,
    /// Prints a JSON document instead of the table.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
pub(super) struct HealCommand {
    pub url: String,
    /// One cycle, then end; without a daemon it is the only way, so it has to be said.
    #[arg(long, required = true)]
    pub once: bool,
    /// Says what would be done, and does nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[arg(long, value_name = "NAME")]
    pub index: Option<String>,
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
pub(super) struct RunCommand {
    /// The configuration file (pgheal.toml); its [target] names the database.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    #[arg(long, value_name = "DIR", env = "PGHEAL_POLICIES_DIR")]
    pub policies: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct HistoryCommand {
    pub url: String,
    /// The last so many days.
    #[arg(long, default_value_t = 30)]
    pub days: u32,
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(super) struct StatusCommand {
    /// The daemon's endpoint: postgresql://user@host:6433/pgheal, or with another target's name in place of `pgheal`;
    /// postgresql:///pgheal?host=/run/pgheal&port=6433&user=NAME for its socket. The password also comes from PGPASSWORD.
    #[arg(env = "PGHEAL_ENDPOINT")]
    pub url: String,
    #[arg(long)]
    pub json: bool,
}
