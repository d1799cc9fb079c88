//! The `pgheal` program: arguments, logs, configuration, run.

use std::process::ExitCode;

use clap::Parser;
use pgheal::cli::{Arguments, run};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let _logging = pgheal::cli::start_logging(&arguments);
    match run(arguments).await {
        Ok(code) => ExitCode::from(code.as_u8()),
        Err(error) => {
            pgheal::cli::fail(&error);
            ExitCode::from(pgheal::cli::exit_code_of(&error).as_u8())
        }
    }
}
