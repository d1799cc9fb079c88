//! The command line: arguments, the commands (one per file), what they print.

mod arguments;
mod check;
mod completions;
mod exit;
mod heal;
mod history;
mod install;
mod man;
mod output;
mod policies;
mod policy;
mod progress;
pub mod report;
mod run;
mod status;

pub use arguments::Arguments;
pub use exit::{ExitStatus, exit_code_of};

use arguments::Command;

use crate::config::{Config, LogFormat};
use crate::telemetry::{self, Logging};

/// Carries out the command; the exit status tells scripts what came of it.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitStatus> {
    let status = carry_out(arguments).await?;
    match output::finish() {
        Ok(()) => Ok(status),
        Err(error) => {
            fail(&error);
            Ok(status.max(ExitStatus::Usage))
        }
    }
}

/// Tells why a command ended early.
pub fn fail(error: &anyhow::Error) {
    output::aside!("pgheal: {error:#}");
}

async fn carry_out(arguments: Arguments) -> anyhow::Result<ExitStatus> {
    match arguments.command {
        Command::Check(command) => check::check(command).await,
        Command::Heal(command) => heal::heal(command).await,
        Command::Run(command) => run::run(command).await,
        Command::History(command) => history::history(command).await,
        Command::Install(command) => install::install(command).await,
        Command::Uninstall(command) => install::uninstall(command).await,
        Command::Status(command) => status::status(command).await,
        Command::Policy { command } => policy::policy(command).await,
        Command::Completions(command) => completions::completions(&command),
        Command::Man(command) => man::man(&command),
    }
}

/// Logs go to stderr; `PGHEAL_LOG` filters them. The daemon says more by default than a command.
pub fn start_logging(arguments: &Arguments) -> Logging {
    let filter = match arguments.command {
        Command::Run(_) => "pgheal=info,warn",
        // Whoever writes a policy wants to read what it says.
        Command::Policy { .. } => "pgheal=warn,policy=debug,error",
        _ => "pgheal=warn,error",
    };
    telemetry::start_logging(log_format(arguments), filter)
}

/// The flag or the environment says it; for the daemon, else the configuration. One that cannot be read is told about by
/// the command itself, as text.
fn log_format(arguments: &Arguments) -> LogFormat {
    let configured = || match &arguments.command {
        Command::Run(command) => Config::load(&command.config).map(|config| config.log.format).unwrap_or_default(),
        _ => LogFormat::default(),
    };
    arguments.log_format.unwrap_or_else(configured)
}
