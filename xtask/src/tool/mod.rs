//! Programs and packages of others that the project is built and tested with.

mod pinned;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

pub use pinned::Tools;

/// Set to 1 where a tool that is not there is a failure and not a reason to go on without it.
pub const REQUIRED: &str = "PGHEAL_REQUIRE_LANGUAGES";

pub fn is_required() -> bool {
    std::env::var(REQUIRED).is_ok_and(|value| value == "1")
}

/// Why tools cannot be used here.
pub struct Unavailable(pub String);

/// Whether a program answers when it is asked for its version.
pub fn check(program: &str) -> Result<(), Unavailable> {
    let mut words = program.split(' ');
    let output =
        Command::new(words.next().unwrap_or_default()).args(words).arg("--version").stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(Unavailable(format!("{program} is not there"))),
    }
}

/// Fetches tools. Without a network there are none, which is no failure of a build.
pub fn fetch(command: &mut Command) -> Result<(), Unavailable> {
    run(command).map_err(|error| Unavailable(format!("its tools cannot be fetched: {error:#}")))
}

/// Python packages, with exactly the hashes of `requirements.txt`, into `packages`.
pub fn pip_install(directory: &Path) -> Result<(), Unavailable> {
    fetch(
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .args(["--only-binary=:all:", "--require-hashes", "--target", "packages", "--requirement"])
            .arg("requirements.txt")
            .current_dir(directory),
    )
}

/// Runs a tool to its end.
///
/// # Errors
/// With the last lines of what it said.
pub fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {program}"))?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{program} ({}): {}", output.status, end_of(&String::from_utf8_lossy(&said)));
    Ok(())
}

fn end_of(text: &str) -> String {
    const LINES: usize = 30;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_named() {
        assert!(check("cargo").is_ok());
        let Err(Unavailable(reason)) = check("no-such-program -m x") else { panic!("it is there") };
        assert_eq!(reason, "no-such-program -m x is not there");
    }

    #[test]
    fn a_failure_says_what_the_tool_said() {
        let error = run(Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("one\ntwo") && error.contains('3'), "{error}");
    }
}
