use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::{cargo, setup};

/// Exit statuses of the program that are an answer, and not a failure to answer.
pub const HEALTHY: i32 = 0;
pub const ISSUES: i32 = 1;
pub const ROLLED_BACK: i32 = 3;

/// The product's own program.
pub struct Pgheal {
    program: PathBuf,
    policies: PathBuf,
}

/// What a run of the program gave.
pub struct Answer {
    pub status: i32,
    pub document: Value,
}

impl Pgheal {
    pub fn new(workspace: &Path) -> Pgheal {
        Pgheal { program: cargo::program(workspace, "pgheal"), policies: workspace.join(setup::POLICIES) }
    }

    pub async fn check(&self, url: &str) -> Result<Value> {
        Ok(self.run(&["check", url, "--json"], &self.policies, &[HEALTHY, ISSUES]).await?.document)
    }

    pub async fn heal(&self, url: &str, more: &[&str]) -> Result<Answer> {
        self.heal_with(url, &self.policies, more).await
    }

    /// Heals with the components of another directory.
    pub async fn heal_with(&self, url: &str, policies: &Path, more: &[&str]) -> Result<Answer> {
        let arguments = [&["heal", url, "--once", "--json"], more].concat();
        self.run(&arguments, policies, &[HEALTHY, ISSUES, ROLLED_BACK]).await
    }

    /// The program's progress goes to the terminal as it comes; the document is read.
    async fn run(&self, arguments: &[&str], policies: &Path, expected: &[i32]) -> Result<Answer> {
        let child = Command::new(&self.program)
            .args(arguments)
            .arg("--policies")
            .arg(policies)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be run", self.program.display()))?;
        let output = child.wait_with_output().await?;
        let status = output.status.code().context("pgheal was killed")?;
        ensure!(expected.contains(&status), "pgheal {} ended with {status}", arguments[0]);
        let document = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("pgheal {} printed no JSON document", arguments[0]))?;
        Ok(Answer { status, document })
    }
}

/// The index's object in a document of `check`.
pub fn index<'a>(document: &'a Value, name: &str) -> Result<&'a Value> {
    let indexes = document["indexes"].as_array().context("the document of check has no indexes")?;
    indexes.iter().find(|index| index["name"] == name).with_context(|| format!("check does not know {name}"))
}

/// The repairs of an index in a document of `heal`; it names indexes qualified and quoted.
pub fn repairs_of(document: &Value, index: &str) -> Vec<Value> {
    let qualified = format!("\"public\".\"{index}\"");
    let repairs = document["repairs"].as_array().map_or(&[][..], Vec::as_slice);
    repairs.iter().filter(|repair| repair["index"] == qualified).cloned().collect()
}
