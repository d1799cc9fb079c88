use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use clap::Args;
use serde_json::Value;

use super::super::ExitStatus;
use crate::cli::output::{aside, say};

/// The program that compiles and makes components. It is apart from this one, so that a daemon beside a database
/// carries no compiler's tools, and comes with the SDK, so that both speak the same version.
const BUILDER: &str = "pgheal-guest-build";
const SDK: &str = "pgheal-guest-sdk";

#[derive(Debug, Args)]
pub struct BuildCommand {
    /// The policy's crate.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Where the component goes [default: guests/NAME.wasm in the crate's target directory].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn build(command: &BuildCommand) -> anyhow::Result<ExitStatus> {
    let component = build_crate(&command.dir, command.out.as_deref())?;
    say!("{}", component.display());
    Ok(ExitStatus::Healthy)
}

/// Builds the crate in `dir`; the component's path.
pub(super) fn build_crate(dir: &Path, out: Option<&Path>) -> anyhow::Result<PathBuf> {
    let mut builder = builder(dir)?;
    builder.arg(std::path::absolute(dir)?);
    if let Some(out) = out {
        builder.arg("--out").arg(std::path::absolute(out)?);
    }
    let output = builder
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} cannot be run", builder.get_program().to_string_lossy()))?;
    ensure!(output.status.success(), "{} was not built", dir.display());
    let printed = String::from_utf8(output.stdout).context("the builder printed no path")?;
    match printed.lines().last() {
        Some(path) => Ok(path.into()),
        None => bail!("the builder printed no path"),
    }
}

/// The builder that is installed beside this program, or else the one that comes with the crate's SDK.
fn builder(dir: &Path) -> anyhow::Result<Command> {
    let beside = std::env::current_exe()?.with_file_name(BUILDER);
    if beside.is_file() {
        return Ok(Command::new(beside));
    }
    let sdk = sdk_of(dir)?;
    let manifest = sdk.join("build/Cargo.toml");
    ensure!(
        manifest.is_file(),
        "there is no {BUILDER} beside this program, and {} has no {}",
        sdk.display(),
        "build/Cargo.toml"
    );
    aside!("compiling the SDK's {BUILDER}, once ...");
    let mut cargo = Command::new(cargo());
    cargo.args(["run", "--quiet", "--release", "--package", BUILDER, "--manifest-path"]).arg(manifest);
    cargo.arg("--");
    // The builder is for this machine, whatever the policy is for.
    cargo.env_remove("CARGO_BUILD_TARGET");
    Ok(cargo)
}

/// Where the crate's SDK lies.
fn sdk_of(dir: &Path) -> anyhow::Result<PathBuf> {
    let manifest = dir.join("Cargo.toml");
    ensure!(manifest.is_file(), "{} is no crate: it has no Cargo.toml", dir.display());
    let output = Command::new(cargo())
        .args(["metadata", "--format-version", "1", "--filter-platform", "wasm32-unknown-unknown", "--manifest-path"])
        .arg(&manifest)
        .output()
        .context("cargo cannot be run; a Rust toolchain is needed to build policies (https://rustup.rs)")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
    let sdk = packages.iter().find(|package| package["name"] == SDK);
    let Some(sdk) = sdk.and_then(|package| package["manifest_path"].as_str()) else {
        bail!("{} does not depend on {SDK}", dir.display());
    };
    Ok(Path::new(sdk).parent().context("a manifest lies in a directory")?.to_owned())
}

pub(super) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
