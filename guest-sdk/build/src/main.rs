//! `pgheal-guest-build`: the part of `pgheal policy build` that needs the toolchain. A program of its own, so that the
//! daemon that stands beside a database carries no compiler tools.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use pgheal_guest_build::build_package;

/// Builds a policy's crate and makes a component of it; prints the component's path.
#[derive(Parser)]
struct Arguments {
    /// The policy's crate
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Where the component goes [default: guests/NAME.wasm in the crate's target directory]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match build_package(&arguments.dir, arguments.out.as_deref()) {
        Ok(built) => {
            println!("{}", built.component.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
