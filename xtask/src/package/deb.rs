use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::setup;

/// Builds packages as `host/Cargo.toml` says in `[package.metadata.deb]`.
const CARGO_DEB: &str = "3.8.0";
/// Of the project only: nobody's own tools are touched.
const TOOLS: &str = "target/tools";

/// Packs what was built and laid out.
pub fn build(workspace: &Path, directory: &Path) -> Result<()> {
    for old in packages(directory)? {
        fs::remove_file(old)?;
    }
    let path = tool_path(workspace)?;
    let status = Command::new("cargo")
        .current_dir(workspace)
        .env("PATH", path)
        .args(["deb", "--package", "pgheal", "--no-build", "--output"])
        .arg(directory)
        .status()
        .context("cargo cannot be run")?;
    ensure!(status.success(), "cargo deb failed ({status})");
    Ok(())
}

/// The package of the last build.
pub fn find(directory: &Path) -> Result<PathBuf> {
    let found = packages(directory)?;
    ensure!(found.len() == 1, "{} packages in {}; run `cargo xtask package`", found.len(), directory.display());
    found.into_iter().next().context("no package")
}

fn packages(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if directory.is_dir() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// The search path with a cargo-deb on it, which is built into `target/tools` where there is none.
fn tool_path(workspace: &Path) -> Result<OsString> {
    let tools = workspace.join(TOOLS);
    let present = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([tools.join("bin")].into_iter().chain(env::split_paths(&present)))?;
    let is_there = |directory: PathBuf| directory.join("cargo-deb").is_file();
    if !env::split_paths(&path).any(is_there) {
        setup::with_spinner("building cargo-deb, once", || {
            let status = Command::new("cargo")
                // Not the workspace's: its lock file and profile are not for tools.
                .current_dir(env::temp_dir())
                .args(["install", "--quiet", "--locked", "cargo-deb", "--version", CARGO_DEB, "--root"])
                .arg(&tools)
                .status()
                .context("cargo cannot be run")?;
            ensure!(status.success(), "cargo-deb {CARGO_DEB} cannot be installed ({status})");
            Ok(())
        })?;
    }
    Ok(path)
}
