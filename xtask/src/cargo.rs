use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, ensure};

/// The product and its end-to-end tests. Always built together: another set of packages means other features of the
/// dependencies, and minutes of building them again.
pub const PRODUCT: [&str; 2] = ["pgheal", "pgheal-tests"];

/// Builds the product, the tests' library and the benches.
pub fn build(workspace: &Path) -> Result<()> {
    let status = cargo(workspace, "build", &PRODUCT).status().context("cargo cannot be run")?;
    ensure!(status.success(), "the build failed ({status})");
    Ok(())
}

/// Runs the tests of the packages whose names hold `filter`.
pub fn test(
    workspace: &Path,
    packages: &[&str],
    filter: Option<&str>,
    environment: &[(&str, OsString)],
) -> Result<ExitStatus> {
    let mut command = cargo(workspace, "test", packages);
    command.arg("--no-fail-fast").args(filter);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.status().context("cargo cannot be run")
}

fn cargo(workspace: &Path, subcommand: &str, packages: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace).args([subcommand, "--release"]);
    for package in packages {
        command.args(["--package", package]);
    }
    command
}

/// A program that `build` made.
pub fn program(workspace: &Path, name: &str) -> PathBuf {
    workspace.join("target/release").join(name)
}
