//! Builds the workspace's policies; how one is built is in `pgheal-guest-build`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use pgheal_guest_build::{TARGET, cargo_build, componentize, componentize_for, toolchain};

/// Where shipped policies go, and where the ones that misbehave for the tests go.
const POLICIES_DIR: &str = "target/policies";
const TEST_POLICIES_DIR: &str = "target/test-policies";

/// The packages under `strategies/`.
pub fn shipped_policies(workspace_root: &Path) -> Result<Vec<String>> {
    packages_in(&workspace_root.join("strategies"))
}

/// The packages under `tests/guests/`.
pub fn test_policies(workspace_root: &Path) -> Result<Vec<String>> {
    packages_in(&workspace_root.join("tests/guests"))
}

/// Builds the packages, all in one cargo invocation, and writes their components: `target/policies/<name>.wasm`, and
/// for packages under `tests/guests` `target/test-policies/<name>.wasm`. A component that did not change is left alone.
///
/// # Errors
/// Where there is no toolchain for WebAssembly (with what to do), a package does not compile, or a policy of
/// `strategies/` imports anything but the contract.
pub fn build_guests(workspace_root: &Path, packages: &[&str]) -> Result<Vec<PathBuf>> {
    ensure!(!packages.is_empty(), "no policies to build");
    let toolchain = toolchain()?;
    let target_dir = workspace_root.join(crate::cargo::GUESTS_TARGET);
    let mut cargo = cargo_build(&toolchain);
    cargo.current_dir(workspace_root).arg("--target-dir").arg(&target_dir);
    for package in packages {
        cargo.args(["--package", package]);
    }
    let status = cargo.status().context("cannot run cargo")?;
    ensure!(status.success(), "the policies do not compile ({status})");
    packages
        .iter()
        .map(|package| {
            let file = format!("{}.wasm", package.replace('-', "_"));
            let for_tests = workspace_root.join("tests/guests").join(package).is_dir();
            let module = target_dir.join(TARGET).join("release").join(&file);
            let dir = workspace_root.join(if for_tests { TEST_POLICIES_DIR } else { POLICIES_DIR });
            componentize(&module, &dir.join(file), !for_tests).with_context(|| format!("policy {package}"))
        })
        .collect()
}

/// Assembles the components of `tests/guests/handwritten` into `target/test-policies`.
pub fn assemble_handwritten(workspace_root: &Path) -> Result<()> {
    let target = workspace_root.join(TEST_POLICIES_DIR);
    fs::create_dir_all(&target)?;
    for entry in fs::read_dir(workspace_root.join("tests/guests/handwritten"))? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("wat")) {
            let mut component = wat::parse_file(&path)?;
            // Core modules are of format version 1, components of 13.
            if component.get(4) == Some(&1) {
                component = componentize_for(component, &workspace_root.join("wit"), "prioritizer")?;
            }
            let name = path.with_extension("wasm");
            fs::write(target.join(name.file_name().context("a file's name")?), component)?;
        }
    }
    Ok(())
}

fn packages_in(dir: &Path) -> Result<Vec<String>> {
    let mut names = BTreeSet::new();
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.join("Cargo.toml").is_file()
            && let Some(name) = path.file_name().and_then(OsStr::to_str)
        {
            names.insert(name.to_owned());
        }
    }
    Ok(names.into_iter().collect())
}
