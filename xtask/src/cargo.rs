use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, ensure};

/// The product and its end-to-end tests. Always built together: another set of packages means other features of the
/// dependencies, and minutes of building them again.
pub const PRODUCT: [&str; 2] = ["pgheal", "pgheal-tests"];
/// What is tested of it. Without the benches, which are an example.
pub const TESTS: [&str; 3] = ["--lib", "--bins", "--tests"];
const BENCH: &str = "pgheal-bench";

/// Where the policies' components are built.
pub const GUESTS_TARGET: &str = "target/guests";

/// Builds the product and the tests' library.
pub fn build(workspace: &Path) -> Result<()> {
    build_with(workspace, &[])
}

/// The same with what their tests are: each of the two large crates, the product's library and that library with its
/// unit tests, is built on one core, so that both are built side by side.
pub fn build_tests(workspace: &Path) -> Result<()> {
    build_with(workspace, &TESTS)
}

/// The product and the benches.
pub fn build_benches(workspace: &Path) -> Result<()> {
    build_with(workspace, &["--lib", "--bins", "--example", BENCH])
}

fn build_with(workspace: &Path, targets: &[&str]) -> Result<()> {
    let status = cargo(workspace, "build", &PRODUCT).args(targets).status().context("cargo cannot be run")?;
    ensure!(status.success(), "the build failed ({status})");
    Ok(())
}

/// Packages that are tested together.
#[derive(Default)]
pub struct TestSet<'a> {
    pub packages: &'a [&'a str],
    /// Where they are built, if not where the product is.
    pub target_dir: Option<&'a str>,
    /// Settings of the profile that differ from the workspace's.
    pub profile: &'a [(&'a str, &'a str)],
    pub more_arguments: &'a [&'a str],
}

/// Runs the tests of a set whose names hold `filter`.
pub fn test(
    workspace: &Path,
    set: &TestSet,
    filter: Option<&str>,
    environment: &[(&str, OsString)],
) -> Result<ExitStatus> {
    let mut command = cargo(workspace, "test", set.packages);
    if let Some(target_dir) = set.target_dir {
        command.arg("--target-dir").arg(workspace.join(target_dir));
    }
    command.arg("--no-fail-fast").args(set.more_arguments).args(filter);
    command.envs(set.profile.iter().copied());
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.status().context("cargo cannot be run")
}

fn cargo(workspace: &Path, subcommand: &str, packages: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace).args([subcommand, "--release"]);
    // `cargo xtask` is a cargo that runs us, and tells about our package. Build scripts that look at these variables (ring's
    // does) would run again, and the product be built again, after each change between `cargo xtask` and plain `cargo`.
    for (name, _) in std::env::vars_os() {
        let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(of_package) {
            command.env_remove(name);
        }
    }
    for package in packages {
        command.args(["--package", package]);
    }
    command
}

/// The program that `build_benches` made.
pub fn bench_program(workspace: &Path) -> PathBuf {
    workspace.join("target/release/examples").join(BENCH)
}

/// A program that `build` made.
pub fn program(workspace: &Path, name: &str) -> PathBuf {
    workspace.join("target/release").join(name)
}
