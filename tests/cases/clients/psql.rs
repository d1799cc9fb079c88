use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::cases::support::{Attended, ConfigFile, install};

/// A run of psql that takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(60);
/// Between the answers of two statements. No answer holds it.
const SEPARATOR: &str = "----8<----";

/// One of the machine's psql programs.
#[derive(Clone, Debug)]
pub struct Psql {
    program: PathBuf,
    pub version: u32,
}

/// What a script gave.
#[derive(Debug)]
pub struct Said {
    /// The standard output of each statement.
    pub answers: Vec<String>,
    pub errors: String,
    pub code: Option<i32>,
}

impl Said {
    /// The answers, where all went well.
    pub fn well(self) -> Result<Vec<String>> {
        ensure!(self.code == Some(0) && self.errors.is_empty(), "psql failed: {self:#?}");
        Ok(self.answers)
    }
}

impl Psql {
    /// That of the test's server, and the machine's own where it has one.
    pub async fn all() -> Result<Vec<Psql>> {
        let mut all = Vec::new();
        for program in [install()?.root().join("bin/psql"), PathBuf::from("psql")] {
            let Ok(output) = Command::new(&program).arg("--version").output().await else { continue };
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let number = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
            let major = number.and_then(|number| number.split(['.', 'd', 'b', 'r']).next()?.parse().ok());
            all.push(Psql { program, version: major.with_context(|| format!("{text:?} names no version"))? });
        }
        ensure!(!all.is_empty(), "there is no psql: neither among the server's programs nor in the PATH");
        Ok(all)
    }

    /// Runs the statements, a line each, as a file; the first that fails ends it.
    pub async fn run(&self, url: &str, statements: &[&str]) -> Result<Said> {
        self.run_with("\\set ON_ERROR_STOP on\n", url, statements).await
    }

    /// The same, but what fails is told and the next statement is tried.
    pub async fn try_all(&self, url: &str, statements: &[&str]) -> Result<Said> {
        self.run_with("", url, statements).await
    }

    async fn run_with(&self, preface: &str, url: &str, statements: &[&str]) -> Result<Said> {
        let separator = format!("\n\\echo {SEPARATOR}\n");
        let script = format!("{preface}{}\n", statements.join(&separator));
        let file = ConfigFile::write("script.sql", &script)?;
        // The password is not for everybody's `ps` to read.
        let url = url.replace(&format!(":{}@", Attended::PASSWORD), "@");
        let running = Command::new(&self.program)
            .args(["-X", "-A", "-t", "-q", "-d", &url, "-f"])
            .arg(&file.0)
            .env("PGPASSWORD", Attended::PASSWORD)
            .env("LC_ALL", "C.UTF-8")
            .env("PGCLIENTENCODING", "UTF8")
            .env_remove("PGOPTIONS")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let ended = tokio::time::timeout(DEADLINE, running).await;
        let output = ended.with_context(|| format!("{self:?} hangs: {statements:?}"))??;
        let text = String::from_utf8(output.stdout)?;
        Ok(Said {
            answers: text.split(&format!("{SEPARATOR}\n")).map(|answer| answer.trim_end().to_owned()).collect(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        })
    }
}
