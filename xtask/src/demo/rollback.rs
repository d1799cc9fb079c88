use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::Table;
use pgheal_test_server::Embeddings;
use pgheal_test_server::scenarios::BLIND_SPOTS;
use serde_json::Value;

use super::Database;
use super::pgheal::{Answer, Pgheal, ROLLED_BACK, index, repairs_of};
use super::report::{blind, new_table, outcome, recall, text};
use crate::setup::{self, Postgres};

const DATABASE: &str = "pgheal_demo_rollback";
/// Rebuilds with m = 2 and asks for the swap whatever the comparison says: `tests/guests/bad-rebuild`.
const BAD_POLICY: &str = "bad_rebuild.wasm";
/// Without it, the policy could do nothing at all.
const GRANT: &str = "[policy.bad-rebuild.grant]\nactions = [\"build-beside\", \"compare\", \"swap\"]\n";
const CONFIG: &str = "pgheal.toml";
const PRIORITIZER: &str = "prioritizer_default.wasm";

/// The repair that was rolled back, and what it left.
pub struct RolledBack {
    before: Value,
    after: Value,
    answer: Answer,
    repairs: Vec<Value>,
    /// Index names and files, which must be the same.
    files_changed: bool,
}

/// A sick index in a database of its own, and a strategy that makes it worse.
pub async fn show(
    workspace: &Path,
    postgres: &Postgres,
    program: &Pgheal,
    embeddings: &Embeddings,
) -> Result<RolledBack> {
    let policies = bad_policies(workspace)?;
    let mut database = Database::create(postgres, DATABASE).await?;
    BLIND_SPOTS.create(&mut database.client, embeddings).await?;
    let url = postgres.url(DATABASE);
    let files_before = database.filenodes().await?;
    let before = index(&program.check(&url).await?, BLIND_SPOTS.index)?.clone();
    let config = policies.join(CONFIG).display().to_string();
    let answer = program.heal_with(&url, &policies, &["--config", &config, "--index", BLIND_SPOTS.index]).await?;
    let after = index(&program.check(&url).await?, BLIND_SPOTS.index)?.clone();
    let files_changed = files_before != database.filenodes().await?;
    database.drop().await?;
    let repairs = repairs_of(&answer.document, BLIND_SPOTS.index);
    Ok(RolledBack { before, after, answer, repairs, files_changed })
}

impl RolledBack {
    pub fn table(&self) -> Table {
        let mut table = new_table();
        table.set_header(["index", "recall@10 before", "after", "blind before", "after", "outcome", "why"]);
        for repair in &self.repairs {
            table.add_row([
                BLIND_SPOTS.index,
                &recall(&self.before),
                &recall(&self.after),
                &blind(&self.before),
                &blind(&self.after),
                outcome(repair),
                text(&repair["reason"]),
            ]);
        }
        table
    }

    /// What is promised of a repair that does not help, and was not kept.
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if self.answer.status != ROLLED_BACK || !self.repairs.iter().any(|repair| outcome(repair) == "rolled_back") {
            broken.push(format!("the bad repair was not rolled back (exit status {})", self.answer.status));
        }
        if self.files_changed {
            broken.push("the rolled-back repair left other indexes or files than it found".to_owned());
        }
        broken
    }
}

/// A directory with the prioritizer and the bad strategy only.
fn bad_policies(workspace: &Path) -> Result<std::path::PathBuf> {
    let directory = workspace.join("target/demo-policies");
    std::fs::create_dir_all(&directory)?;
    for (from, name) in [(setup::TEST_POLICIES, BAD_POLICY), (setup::POLICIES, PRIORITIZER)] {
        let source = workspace.join(from).join(name);
        std::fs::copy(&source, directory.join(name)).with_context(|| source.display().to_string())?;
    }
    std::fs::write(directory.join(CONFIG), GRANT)?;
    Ok(directory)
}
