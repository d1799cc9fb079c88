//! `pgheal policy`: for those who write policies and those who let them in.

mod bench;
mod build;
mod check;
mod deploy;
mod list;
mod new;
mod rollback;
mod sign;
mod target;
mod tell;
mod test;

use std::path::Path;

use anyhow::Context;
use clap::Subcommand;

use super::ExitStatus;
use crate::config::Config;

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Makes a crate for a new policy, which builds and passes its tests as it is.
    New(new::NewCommand),
    /// Builds a policy's crate and makes a component of it.
    Build(build::BuildCommand),
    /// Runs a policy in the sandbox on issues from files, on a played database or a live one that is only read.
    Test(test::TestCommand),
    /// Says what a component is, what it would be granted, and whether it would be loaded.
    Check(check::CheckCommand),
    /// Measures what calls of a policy cost, beside bare wasmtime.
    Bench(bench::BenchCommand),
    /// Verifies a component and puts it into the policy directory; waits until the daemon has it in service.
    Deploy(deploy::DeployCommand),
    /// The policies of a directory: which version serves, since when, and what went wrong.
    List(list::ListCommand),
    /// Returns to the version of a policy that served before.
    Rollback(rollback::RollbackCommand),
    /// Makes a pair of keys to sign policies with.
    Keygen(sign::KeygenCommand),
    /// Signs a component; the signature goes beside it, in FILE.sig.
    Sign(sign::SignCommand),
    /// Says whether a trusted key signed a component.
    Verify(sign::VerifyCommand),
}

pub(super) async fn policy(command: PolicyCommand) -> anyhow::Result<ExitStatus> {
    match command {
        PolicyCommand::New(command) => new::new(&command),
        PolicyCommand::Build(command) => build::build(&command),
        PolicyCommand::Test(command) => test::test(command).await,
        PolicyCommand::Check(command) => check::check(&command).await,
        PolicyCommand::Bench(command) => bench::bench(&command).await,
        PolicyCommand::Deploy(command) => deploy::deploy(command).await,
        PolicyCommand::List(command) => list::list(command).await,
        PolicyCommand::Rollback(command) => rollback::rollback(command).await,
        PolicyCommand::Keygen(command) => sign::keygen(&command),
        PolicyCommand::Sign(command) => sign::sign(&command),
        PolicyCommand::Verify(command) => sign::verify(&command),
    }
}

fn config(path: Option<&Path>) -> anyhow::Result<Config> {
    Ok(path.map_or_else(|| Ok(Config::default()), Config::load)?)
}

/// The bytes of a component's file, as large as a policy may be.
fn read_component(path: &Path) -> anyhow::Result<Vec<u8>> {
    let limit = crate::components::Limits::default().component_bytes;
    let found = std::fs::metadata(path).with_context(|| path.display().to_string())?;
    anyhow::ensure!(found.is_file(), "{} is not a file", path.display());
    anyhow::ensure!(found.len() <= limit, "{} is larger than {limit} bytes", path.display());
    std::fs::read(path).with_context(|| path.display().to_string())
}
