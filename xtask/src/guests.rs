//! Builds policies: crates to WebAssembly, WebAssembly to components.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use wit_component::{ComponentEncoder, DecodedWasm};
use wit_parser::WorldItem;

const TARGET: &str = "wasm32-unknown-unknown";
/// The only imports that a shipped policy may have; there is no WASI.
const CONTRACT: &str = "pgheal:policy/";
const RUSTUP_TIMEOUT: Duration = Duration::from_secs(60);
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_STD: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-19"];
const DEBIAN_LINKER: &str = "/usr/bin/wasm-ld-19";

/// Where shipped policies go, and where the ones that misbehave for the tests go.
const POLICIES_DIR: &str = "target/policies";
const TEST_POLICIES_DIR: &str = "target/test-policies";

/// How the guests are compiled.
enum Toolchain {
    /// The target of the Rust toolchain in use.
    Installed,
    /// Debian's Rust, which brings the standard library's source along.
    Debian,
}

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
    let target_dir = workspace_root.join("target/guests");
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

fn toolchain() -> Result<Toolchain> {
    // For a machine that has both, and to try the other one.
    match std::env::var("PGHEAL_GUEST_TOOLCHAIN").as_deref() {
        Ok("debian") => return debian().map(|()| Toolchain::Debian),
        Ok("installed") | Err(_) => {}
        Ok(other) => bail!("PGHEAL_GUEST_TOOLCHAIN is {other:?}; it can be installed or debian"),
    }
    if has_target() {
        return Ok(Toolchain::Installed);
    }
    if add_target() && has_target() {
        return Ok(Toolchain::Installed);
    }
    debian()?;
    Ok(Toolchain::Debian)
}

/// Whether the Rust in use has the standard library for the target.
fn has_target() -> bool {
    let output = Command::new(rustc()).args(["--print", "target-libdir", "--target", TARGET]).output();
    output.is_ok_and(|output| {
        let dir = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success() && fs::read_dir(dir).is_ok_and(|mut files| files.next().is_some())
    })
}

fn rustc() -> String {
    std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned())
}

/// Asks rustup for the target; false where there is no rustup, or it has no way to its server.
fn add_target() -> bool {
    let child = Command::new("rustup")
        .args(["--quiet", "target", "add", TARGET])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    eprintln!("installing the Rust target {TARGET} with rustup ...");
    let end = Instant::now() + RUSTUP_TIMEOUT;
    while Instant::now() < end {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => thread::sleep(Duration::from_millis(100)),
            Err(_) => break,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

/// Makes sure of Debian's Rust, by installing it where that is possible.
fn debian() -> Result<()> {
    if debian_is_installed() {
        return Ok(());
    }
    let advice = format!(
        "no Rust toolchain can compile to {TARGET}. Do one of: `rustup target add {TARGET}`; or, on Debian, as root \
         `apt-get install {}`",
        DEBIAN_PACKAGES.join(" ")
    );
    if !Path::new("/usr/bin/apt-get").exists() || !is_root() {
        bail!(advice);
    }
    eprintln!("installing {} with apt-get (this takes a minute or two) ...", DEBIAN_PACKAGES.join(", "));
    let apt = |arguments: &[&str]| -> Result<()> {
        let output = Command::new("apt-get")
            .args(["-qq", "-o", "DPkg::Lock::Timeout=120"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    };
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(DEBIAN_PACKAGES);
    apt(&["update"]).and_then(|()| apt(&install)).context(advice.clone())?;
    ensure!(debian_is_installed(), advice);
    Ok(())
}

fn debian_is_installed() -> bool {
    [DEBIAN_RUSTC, DEBIAN_CARGO, DEBIAN_STD, DEBIAN_LINKER].iter().all(|path| Path::new(path).exists())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// The build of guests: small, without unwinding, with the names of functions for backtraces. The workspace has
/// one profile, so this lies in the environment.
fn cargo_build(toolchain: &Toolchain) -> Command {
    let mut cargo = match toolchain {
        Toolchain::Installed => {
            let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
            cargo.arg("build");
            cargo
        }
        Toolchain::Debian => {
            let mut cargo = Command::new(DEBIAN_CARGO);
            cargo
                .arg("build")
                .arg("-Zbuild-std=std,panic_abort")
                // Needed by -Zbuild-std on a stable release.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("RUSTC", DEBIAN_RUSTC)
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", DEBIAN_LINKER)
                .env_remove("RUSTUP_TOOLCHAIN")
                .env_remove("CARGO");
            cargo
        }
    };
    cargo
        .args(["--quiet", "--release", "--lib", "--target", TARGET])
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s")
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_INCREMENTAL", "false")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "none")
        .env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo")
        // Flags for this machine's processor mean nothing to WebAssembly.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET");
    cargo
}

/// Makes a component of a core module. The file appears under its name as a whole or not at all.
fn componentize(module: &Path, component: &Path, contract_only: bool) -> Result<PathBuf> {
    let bytes = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let encoded = ComponentEncoder::default().validate(true).module(&bytes)?.encode()?;
    if contract_only {
        check_imports(&encoded)?;
    }
    if fs::read(component).is_ok_and(|present| present == encoded) {
        return Ok(component.to_owned());
    }
    let dir = component.parent().context("a component needs a directory")?;
    fs::create_dir_all(dir)?;
    let unfinished = component.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&unfinished, &encoded)
        .and_then(|()| fs::rename(&unfinished, component))
        .with_context(|| format!("cannot write {}", component.display()))?;
    Ok(component.to_owned())
}

/// Refuses a component that asks for anything but the contract.
pub fn check_imports(component: &[u8]) -> Result<()> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        bail!("it is not a component");
    };
    for (key, item) in &resolve.worlds[world].imports {
        // A name for a type of an interface brings no function along.
        if matches!(item, WorldItem::Type { .. }) {
            continue;
        }
        let name = resolve.name_world_key(key);
        ensure!(name.starts_with(CONTRACT), "it imports {name}; a policy may import {CONTRACT}* only");
    }
    Ok(())
}
