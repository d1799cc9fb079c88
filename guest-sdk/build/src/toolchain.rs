use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// What policies are compiled to: WebAssembly without any system beneath it.
pub const TARGET: &str = "wasm32-unknown-unknown";
const RUSTUP_TIMEOUT: Duration = Duration::from_secs(60);
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_STD: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-19"];
const DEBIAN_LINKER: &str = "/usr/bin/wasm-ld-19";

/// How the guests are compiled.
pub enum Toolchain {
    /// The target of the Rust toolchain in use.
    Installed,
    /// Debian's Rust, which brings the standard library's source along.
    Debian,
}

/// Finds a toolchain for WebAssembly, and makes sure of one where that is possible.
///
/// # Errors
/// Where there is none, with what to do.
pub fn toolchain() -> Result<Toolchain> {
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

/// Settings that macros and build scripts take over from the profile. A native build of the same package that has them,
/// too, finds its macros built: most of the work.
pub const PROFILE_OF_MACROS: [(&str, &str); 3] = [
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "none"),
    ("CARGO_PROFILE_RELEASE_STRIP", "debuginfo"),
];

/// The build of guests: small, without unwinding, with the names of functions for backtraces. The workspace has
/// one profile, so this lies in the environment.
pub fn cargo_build(toolchain: &Toolchain) -> Command {
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
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_INCREMENTAL", "false")
        .envs(PROFILE_OF_MACROS)
        // Flags for this machine's processor mean nothing to WebAssembly.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET");
    cargo
}
