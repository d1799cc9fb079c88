use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{TARGET, cargo_build, componentize, toolchain};

/// A policy as it came out of its crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    pub package: String,
    pub component: PathBuf,
}

/// Builds the policy crate in `dir`. The component goes to `out`, or to `guests/<name>.wasm` in the crate's target
/// directory.
///
/// # Errors
/// Where `dir` holds no policy crate, there is no toolchain for WebAssembly (with what to do), the crate does not
/// compile, or the policy imports anything but the contract.
pub fn build_package(dir: &Path, out: Option<&Path>) -> Result<Built> {
    let package = Package::find(dir)?;
    let target_dir = package.target_dir.join("guests");
    let mut cargo = cargo_build(&toolchain()?);
    cargo.current_dir(dir).arg("--target-dir").arg(&target_dir).args(["--package", &package.name]);
    eprintln!("compiling {} to {TARGET} ...", package.name);
    let status = cargo.status().context("cargo cannot be run")?;
    ensure!(status.success(), "{} does not compile ({status})", package.name);
    let file = format!("{}.wasm", package.library);
    let module = target_dir.join(TARGET).join("release").join(&file);
    let component = match out {
        Some(out) => std::path::absolute(out)?,
        None => target_dir.join(&file),
    };
    let component = componentize(&module, &component, true).with_context(|| format!("policy {}", package.name))?;
    Ok(Built { package: package.name, component })
}

/// What cargo says of a policy's crate.
struct Package {
    name: String,
    /// The library's name in files.
    library: String,
    target_dir: PathBuf,
}

impl Package {
    fn find(dir: &Path) -> Result<Package> {
        let manifest = dir.join("Cargo.toml");
        let manifest = manifest.canonicalize().with_context(|| format!("{} is no crate", dir.display()))?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
            .arg(&manifest)
            .output()
            .context("cargo cannot be run")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        Package::parse(&serde_json::from_slice(&output.stdout)?, &manifest)
    }

    fn parse(metadata: &Value, manifest: &Path) -> Result<Package> {
        let is_this =
            |package: &&Value| package["manifest_path"].as_str().map(OsStr::new) == Some(manifest.as_os_str());
        let packages = metadata["packages"].as_array().context("cargo metadata has no packages")?;
        let Some(package) = packages.iter().find(is_this) else {
            bail!("{} is a workspace; name the directory of one of its policies", manifest.display());
        };
        let name = package["name"].as_str().context("cargo metadata has no name")?;
        let is_cdylib = |target: &&Value| {
            target["crate_types"].as_array().is_some_and(|types| types.iter().any(|kind| kind == "cdylib"))
        };
        let targets = package["targets"].as_array().context("cargo metadata has no targets")?;
        let Some(library) = targets.iter().find(is_cdylib).and_then(|target| target["name"].as_str()) else {
            bail!("{name} is no policy: its Cargo.toml needs [lib] crate-type = [\"cdylib\", \"rlib\"]");
        };
        let target_dir = metadata["target_directory"].as_str().context("cargo metadata has no target directory")?;
        Ok(Package { name: name.to_owned(), library: library.replace('-', "_"), target_dir: target_dir.into() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(metadata: &Value, expected: Result<&str, &str>) {
        match (Package::parse(metadata, Path::new("/a/Cargo.toml")), expected) {
            (Ok(package), Ok(library)) => assert_eq!(package.library, library),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (Ok(_), Err(part)) => panic!("no error that says {part}"),
            (Err(error), Ok(_)) => panic!("{error}"),
        }
    }

    #[test]
    fn the_crate_of_the_directory_is_the_policy() {
        let package = |manifest: &str, types: &[&str]| {
            json!({"packages": [{"manifest_path": manifest, "name": "my-rule",
                "targets": [{"name": "my-rule", "crate_types": types}]}], "target_directory": "/a/target"})
        };
        check(&package("/a/Cargo.toml", &["cdylib", "rlib"]), Ok("my_rule"));
        check(&package("/a/Cargo.toml", &["lib"]), Err("crate-type"));
        check(&package("/a/b/Cargo.toml", &["cdylib"]), Err("workspace"));
    }
}
