//! The driver that the tests speak to pgheal with, besides Rust's: psycopg, and with it libpq.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::tool::{self, REQUIRED, Tools, Unavailable, is_required};

/// Where the tests look for it.
const DIRECTORY: &str = "target/tools/psycopg";

const PSYCOPG: Tools = Tools {
    what: "psycopg",
    needs: &["python3 -m pip"],
    package: "tests/clients",
    pins: &["requirements.txt"],
    install: tool::pip_install,
    // Its libpq is built for one version of Python.
    works: Some(is_importable),
};

/// Fetches psycopg where it is not there yet.
///
/// # Errors
/// Where it cannot be had, and `PGHEAL_REQUIRE_LANGUAGES` is 1.
pub fn provide(workspace: &Path) -> Result<()> {
    let directory = workspace.join(DIRECTORY);
    if let Err(Unavailable(reason)) = PSYCOPG.provide(workspace, &directory) {
        ensure!(!is_required(), "psycopg: {reason}, and {REQUIRED} is 1");
        eprintln!("the tests with psycopg will be left out: {reason}");
        // What is there in part, or for another Python, must not look as if it was complete.
        let _ = fs::remove_file(directory.join("installed"));
    }
    Ok(())
}

fn is_importable(directory: &Path) -> bool {
    Command::new("python3")
        .args(["-c", "import psycopg; assert psycopg.pq.__impl__ == 'binary'"])
        .env("PYTHONPATH", directory.join("packages"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
