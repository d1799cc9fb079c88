//! The project's own commands: `cargo xtask --help`.

mod bench;
mod cargo;
mod clients;
mod demo;
mod guests;
mod languages;
mod package;
mod setup;
mod test;
mod tool;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// Sets up, tests, shows and measures pgheal.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fetches PostgreSQL with pgvector and psycopg, and builds the policies; the other commands do it by themselves
    Setup,
    /// Builds the policies: all shipped ones, the examples and those of the tests, or the packages named
    Guests { packages: Vec<String> },
    /// Runs the unit tests and the end-to-end tests
    Test(test::Options),
    /// Shows indexes that are sick, healed and compared, and a repair that is rolled back
    Demo(demo::Options),
    /// Measures pgheal against what PostgreSQL itself offers
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Builds the Debian package and checks it
    Package(package::Options),
}

fn main() -> ExitCode {
    let run = || -> Result<ExitCode> {
        let workspace = workspace()?;
        match Arguments::parse().command {
            Command::Setup => {
                setup::all(&workspace)?;
                setup::for_tests(&workspace).map(|()| ExitCode::SUCCESS)
            }
            Command::Guests { packages } => {
                setup::policies(&workspace, &packages)?;
                if packages.is_empty() {
                    setup::languages(&workspace)?;
                }
                Ok(ExitCode::SUCCESS)
            }
            Command::Test(options) => test::run(&workspace, &options),
            Command::Demo(options) => demo::run(&workspace, &options),
            Command::Bench(bench) => bench::run(&workspace, &bench),
            Command::Package(options) => package::run(&workspace, &options).map(|()| ExitCode::SUCCESS),
        }
    };
    run().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// The repository's root: cargo runs this program's package from there.
fn workspace() -> Result<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(package.parent().context("xtask lies in the workspace")?.to_owned())
}
