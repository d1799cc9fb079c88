//! What a package must be like before it is given to anybody.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::setup;

/// `systemd-analyze security` gives 0 (nothing is allowed) to 10; times ten, as its option takes it.
const WORST_EXPOSURE: &str = "29";
/// What must be in it, from its root.
const FILES: [&str; 15] = [
    "usr/bin/pgheal",
    "usr/lib/pgheal/policies/index_rebalance.wasm",
    "usr/lib/pgheal/policies/parameter_tuning.wasm",
    "usr/lib/pgheal/policies/prioritizer_default.wasm",
    "etc/pgheal/pgheal.toml",
    "usr/share/man/man1/pgheal.1.gz",
    "usr/share/man/man1/pgheal-run.1.gz",
    "usr/share/bash-completion/completions/pgheal",
    "usr/share/zsh/vendor-completions/_pgheal",
    "usr/share/fish/vendor_completions.d/pgheal.fish",
    "usr/share/doc/pgheal/copyright",
    "usr/share/doc/pgheal/OPERATIONS.md",
    "usr/share/doc/pgheal/sql/self-hosted.sql",
    "usr/share/doc/pgheal/grafana/pgheal.json",
    "usr/share/doc/pgheal/prometheus/pgheal.rules.yml",
];
const SUITE: &str = "bookworm";

/// Unpacks the package into a folder and looks at its files, its program and its unit.
pub fn package(directory: &Path, package: &Path) -> Result<()> {
    let root = directory.join("unpacked");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    output_of("dpkg-deb", &["--extract".as_ref(), package.as_os_str(), root.as_os_str()])?;
    for file in FILES {
        ensure!(root.join(file).is_file(), "{file} is not in the package");
    }
    let unit = ["usr/lib/systemd/system/pgheal.service", "lib/systemd/system/pgheal.service"];
    let unit = unit.into_iter().map(|file| root.join(file)).find(|path| path.is_file()).context("no unit")?;

    // As it is started from its place, without a word about its policies.
    let program = root.join("usr/bin/pgheal");
    let listed = Command::new(&program)
        .args(["policy", "list", "--json"])
        .env_remove("PGHEAL_POLICIES_DIR")
        .env("XDG_CACHE_HOME", directory.join("cache"))
        .output()
        .context("the packaged program cannot be run")?;
    let listed = String::from_utf8(listed.stdout)?;
    for policy in ["index_rebalance", "parameter_tuning", "prioritizer_default"] {
        ensure!(listed.contains(policy), "the packaged program does not find {policy}: {listed}");
    }
    println!("program and policies: {}", output_of(&program, &["--version".as_ref()])?.trim());

    if has("systemd-analyze") {
        unit_is_sound(&root, &unit)?;
    } else {
        println!("unit: not checked, since there is no systemd-analyze");
    }
    Ok(())
}

fn unit_is_sound(root: &Path, unit: &Path) -> Result<()> {
    // Looked at in place of the machine's own units, whose faults are not ours: only what concerns pgheal counts.
    let looked = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(unit).output()?;
    let words = String::from_utf8_lossy(&looked.stderr).into_owned();
    let installed = Path::new("/usr/bin/pgheal").exists();
    let missing = |line: &str| !installed && line.contains("/usr/bin/pgheal is not executable");
    let ours: Vec<&str> = words.lines().filter(|line| line.contains("pgheal") && !missing(line)).collect();
    ensure!(ours.is_empty(), "systemd-analyze verify: {ours:#?}");
    println!("unit: systemd-analyze verify has nothing to say of {}", unit.strip_prefix(root)?.display());

    let threshold = format!("--threshold={WORST_EXPOSURE}");
    let arguments = ["security", "--offline=true", "--no-pager", threshold.as_str()].map(OsStr::new);
    let arguments: Vec<&OsStr> = arguments.into_iter().chain([unit.as_os_str()]).collect();
    let told = output_of("systemd-analyze", &arguments)?;
    let overall = told.lines().find(|line| line.contains("Overall")).unwrap_or_default();
    println!("unit: {}", overall.trim_start_matches(['→', ' ']));
    Ok(())
}

/// Installs, uses, removes and purges the package in a fresh Debian.
pub fn in_chroot(directory: &Path, package: &Path) -> Result<()> {
    let root = directory.join("chroot");
    // Where a run was ended before the end, nothing of it is mounted: a start is a fresh one.
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    setup::with_spinner("a fresh Debian in a folder", || {
        output_of("debootstrap", &["--variant=minbase".as_ref(), SUITE.as_ref(), root.as_os_str()])
    })?;
    fs::copy(package, root.join("pgheal.deb"))?;
    // In a mount namespace of its own: what is mounted there goes with it.
    let inside = |command: &str| {
        let script = format!("mount -t proc proc /proc; {command}");
        let before = ["--mount", "chroot"].map(OsStr::new);
        let shell = ["/bin/sh", "-ec", script.as_str()].map(OsStr::new);
        let arguments: Vec<&OsStr> = before.into_iter().chain([root.as_os_str()]).chain(shell).collect();
        output_of("unshare", &arguments).with_context(|| format!("in the chroot: {command}"))
    };
    inside("dpkg --install /pgheal.deb")?;
    inside("getent passwd pgheal")?;
    let listed = inside("XDG_CACHE_HOME=/var/cache pgheal policy list")?;
    ensure!(listed.contains("index_rebalance"), "the installed program does not find its policies: {listed}");
    inside("dpkg --verify pgheal")?;
    // Once more is an upgrade; what the administrator changed stays.
    inside(
        "echo '# mine' >> /etc/pgheal/pgheal.toml; dpkg --install /pgheal.deb; grep -q '# mine' /etc/pgheal/pgheal.toml",
    )?;
    inside("dpkg --remove pgheal; test ! -e /usr/bin/pgheal; test -e /etc/pgheal/pgheal.toml")?;
    inside("dpkg --purge pgheal; test ! -e /etc/pgheal; test ! -e /usr/lib/pgheal")?;
    println!("installed, upgraded, removed and purged in a fresh Debian {SUITE}");
    fs::remove_dir_all(&root)?;
    Ok(())
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Runs a program; what it prints.
///
/// # Errors
/// Where it fails, with what it said.
pub fn output_of(program: impl AsRef<OsStr>, arguments: &[&OsStr]) -> Result<String> {
    let program = program.as_ref();
    let ran = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let ran = ran.with_context(|| format!("{} cannot be run", program.display()))?;
    if !ran.status.success() {
        bail!(
            "{} {arguments:?}: {}\n{}{}",
            program.display(),
            ran.status,
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        );
    }
    Ok(String::from_utf8(ran.stdout)?)
}
