//! The command line: arguments, the commands (one per file), what they print.

mod arguments;
mod check;
mod exit;
mod heal;
mod history;
mod policies;
mod policy;
mod progress;
pub mod report;
mod run;
mod status;

pub use arguments::Arguments;
pub use exit::{ExitStatus, exit_code_of};

use arguments::Command;

/// Carries out the command; the exit status tells scripts what came of it.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitStatus> {
    match arguments.command {
        Command::Check(command) => check::check(command).await,
        Command::Heal(command) => heal::heal(command).await,
        Command::Run(command) => run::run(command).await,
        Command::History(command) => history::history(command).await,
        Command::Status(command) => status::status(command).await,
        Command::Policy { command } => policy::policy(command).await,
    }
}

/// Logs go to stderr; `PGHEAL_LOG` filters them. The daemon says more by default than a command.
pub fn start_logging(arguments: &Arguments) {
    let level = match arguments.command {
        Command::Run(_) => "pgheal=info,warn",
        // Whoever writes a policy wants to read what it says.
        Command::Policy { .. } => "pgheal=warn,policy=debug,error",
        _ => "pgheal=warn,error",
    };
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("PGHEAL_LOG").unwrap_or_else(|_| level.parse().unwrap_or_default());
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(is_terminal).init();
}
