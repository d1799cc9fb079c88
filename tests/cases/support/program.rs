use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::{Child, Command};

use super::world::workspace;

/// No command of these cases takes this long; one that does hangs.
const DEADLINE: Duration = Duration::from_secs(180);

/// What a run of the program gave.
#[derive(Debug)]
pub struct Run {
    /// None where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON: {self:?}"))
    }

    /// The one index of this name in the document that `check --json` printed.
    pub fn index(&self, name: &str) -> Result<Value> {
        let document = self.json()?;
        let indexes = document["indexes"].as_array().context("no indexes")?;
        let found: Vec<&Value> = indexes.iter().filter(|index| index["name"] == name).collect();
        ensure!(found.len() == 1, "{} indexes named {name}: {document:#}", found.len());
        Ok(found[0].clone())
    }

    /// Refuses a panic, and any other exit status than the one expected.
    #[track_caller]
    pub fn expect(&self, code: i32) -> &Self {
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// All that the program said.
    pub fn output(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

pub async fn pgheal(arguments: &[&str]) -> Result<Run> {
    pgheal_with(arguments, &[]).await
}

pub async fn pgheal_with(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Run> {
    let child = start(arguments, variables)?;
    let ended = tokio::time::timeout(DEADLINE, child.wait_with_output());
    let output = ended.await.with_context(|| format!("pgheal {arguments:?} hangs"))??;
    Ok(Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Starts the program with its output in pipes. It ends with its value.
pub fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Child> {
    start_into(Stdio::piped(), arguments, variables)
}

/// The same with another stdout.
pub fn start_into(stdout: Stdio, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Child> {
    let program = program();
    Command::new(&program)
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} cannot be run: set PGHEAL_BIN, or run `cargo xtask test`", program.display()))
}

/// A port for the program to listen on. Nobody else takes it in the moment between.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn program() -> PathBuf {
    match std::env::var_os("PGHEAL_BIN") {
        Some(path) => PathBuf::from(path),
        None => workspace().join("target/release/pgheal"),
    }
}
