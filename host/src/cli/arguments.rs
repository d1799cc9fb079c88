use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::completions::CompletionsCommand;
use super::man::ManCommand;
use super::policy::PolicyCommand;
use crate::config::LogFormat;
use crate::install::{Endpoint, SslMode};

/// Finds out when pgvector search gets worse, says why, repairs it, proves that the repair helped, and undoes it
/// when it did not.
///
/// Exit status: 0 healthy or healed, 1 issues found, 2 usage or connection, 3 a repair failed and was rolled back (or a
/// policy was not taken), 4 a rollback failed.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 110)]
pub struct Arguments {
    /// How the log is written: text or json [default: text; the daemon's: [log] in its configuration].
    #[arg(long, global = true, value_name = "FORMAT", env = "PGHEAL_LOG_FORMAT")]
    pub(super) log_format: Option<LogFormat>,
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
    /// Puts pgheal's SQL functions, roles and page reader into a database; may be run again.
    Install(InstallCommand),
    /// Takes them out again; the history of repairs stays.
    Uninstall(UninstallCommand),
    /// How a running daemon and its targets are; asks its endpoint.
    Status(StatusCommand),
    /// Writes, builds, tests, signs and deploys policies, and returns to earlier versions.
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Prints the completions of a shell.
    Completions(CompletionsCommand),
    /// Writes the man pages into a directory.
    Man(ManCommand),
}

#[derive(Debug, Args)]
pub(super) struct Common {
    /// The configuration file (pgheal.toml).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The directory of the policies' .wasm files [default: `policies` beside this program or above it, else ../lib/pgheal/policies].
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
    /// The configuration file (pgheal.toml); its targets are the databases under care.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    #[arg(long, value_name = "DIR", env = "PGHEAL_POLICIES_DIR")]
    pub policies: Option<PathBuf>,
    /// ruvector.dag_healing_enabled: whether issues are repaired without being asked (on or off). Over pgheal.toml and
    /// PGHEAL_DAG_HEALING_ENABLED; what the database says (ALTER DATABASE ... SET) is over all three, as it is for the
    /// other settings.
    #[arg(long, value_name = "BOOL")]
    pub healing_enabled: Option<String>,
    /// ruvector.dag_healing_interval_ms: the pause between two checks, 1000 to 86400000 ms.
    #[arg(long, value_name = "MS")]
    pub healing_interval_ms: Option<String>,
    /// ruvector.dag_healing_threshold: the loss against the baseline that counts as degradation, above 0, at most 1.
    #[arg(long, value_name = "SHARE")]
    pub healing_threshold: Option<String>,
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
pub(super) struct InstallCommand {
    /// The database to install into, as a superuser; on a managed server as its administrator.
    pub url: String,
    /// Where the daemon listens, as seen from the database server: HOST:PORT, or DIRECTORY:PORT of its unix socket.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6433")]
    pub endpoint: Endpoint,
    /// The endpoint's user as whom the functions log in ([endpoint.user.NAME] with forwards = true).
    #[arg(long, value_name = "NAME", default_value = "pgheal_functions")]
    pub user: String,
    /// The environment variable that holds that user's password.
    #[arg(long, value_name = "VARIABLE", default_value = "PGHEAL_ENDPOINT_PASSWORD")]
    pub password_env: String,
    /// Encryption on the way to the daemon [default: require, unless it is on the same machine].
    #[arg(long, value_name = "MODE")]
    pub sslmode: Option<SslMode>,
    /// A file on the database server with the certificates to trust (verify-ca, verify-full).
    #[arg(long, value_name = "FILE")]
    pub sslrootcert: Option<String>,
    /// The daemon's name for this database ([[target]] name) [default: the database's].
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// How long a call waits for the daemon.
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(500..=600_000))]
    pub time_limit_ms: u32,
    /// The schema where people find the functions; they are in pgheal in any case.
    #[arg(long, value_name = "SCHEMA", default_value = "public")]
    pub function_schema: String,
    /// The role as which the daemon logs in: gets the schema for its journal, and the page reader.
    #[arg(long, value_name = "ROLE")]
    pub daemon_role: Option<String>,
    /// How the database server reaches itself [default: tried out].
    #[arg(long, value_name = "HOST:PORT")]
    pub hop: Option<Endpoint>,
    /// Leaves out what needs a superuser (done by itself where the user is none).
    #[arg(long)]
    pub managed: bool,
    /// Prints the SQL for psql, and changes nothing.
    #[arg(long)]
    pub print: bool,
}

#[derive(Debug, Args)]
pub(super) struct UninstallCommand {
    pub url: String,
    /// Prints the SQL for psql, and changes nothing.
    #[arg(long)]
    pub print: bool,
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
