use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::{cargo, setup};

#[derive(Subcommand)]
pub enum Bench {
    /// An audit against the bare stream of the pages and against exact scans, as ratios
    Audit {
        /// Also with a million rows (about ten minutes and 6 GB of disk)
        #[arg(long)]
        large: bool,
    },
    /// Surgical repair, rebuild with larger m and REINDEX CONCURRENTLY on the same sick index
    Heal {
        /// Also with 200,000 rows
        #[arg(long)]
        large: bool,
    },
    /// ruvector_dag_healing_status() at the endpoint and through the function, beside SELECT 1
    Status,
    /// The cycles of seven databases beside three others: all well, and those three in trouble (about five minutes)
    Targets,
}

/// The measuring is in a program of its own, `tests/bench`, which links the product's library.
pub fn run(workspace: &Path, bench: &Bench) -> Result<ExitCode> {
    let (name, large) = match bench {
        Bench::Audit { large } => ("audit", large),
        Bench::Heal { large } => ("heal", large),
        Bench::Status => ("status", &false),
        Bench::Targets => ("targets", &false),
    };
    let install = setup::all(workspace)?;
    cargo::build_benches(workspace)?;
    let mut command = Command::new(cargo::bench_program(workspace));
    command.arg(name).args(large.then_some("--large"));
    command.env("PGHEAL_TEST_PG", install.root()).env("PGHEAL_POLICIES_DIR", workspace.join(setup::POLICIES));
    let status = command.status().context("the bench cannot be run")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
