//! The life of policies: watched, replaced, remembered, restored. No PostgreSQL is needed.

mod directory;
mod kills;
mod order;
mod program;
mod reloads;
mod strikes;

use anyhow::{Context, Result};
use pgheal::components::{FailureReport, Policies, PolicyStatus};
use pgheal::model::{AccessMethod, Diagnosis, IndexName, Issue, IssueKind, RootCause, Severity};

pub const DEFAULT: &str = "prioritizer_default.wasm";
/// Has the default's name.
pub const UPSIDE_DOWN: &str = "upside_down_prioritizer.wasm";
/// Has the default's name, too.
pub const FAILS_SELF_CHECK: &str = "fails_self_check.wasm";
pub const NAME: &str = "prioritizer_default";

pub fn issue(id: &str, severity: Severity) -> Issue {
    Issue {
        id: id.to_owned(),
        severity,
        kind: IssueKind::LowRecall {
            recall: if severity >= Severity::High { 0.4 } else { 0.94 },
            p5: 0.3,
            target: 0.95,
            k: 10,
            parameter_in_force: 40,
        },
        index: Some(IndexName {
            oid: 16_400,
            schema: "public".to_owned(),
            name: "items_idx".to_owned(),
            table_oid: 16_390,
            table_schema: "public".to_owned(),
            table: "items".to_owned(),
            method: AccessMethod::Hnsw,
        }),
        evidence: Vec::new(),
    }
}

pub fn diagnosis(id: &str, severity: Severity) -> Diagnosis {
    Diagnosis {
        issue: issue(id, severity),
        cause: RootCause::SearchEffortTooLow,
        confidence: 0.9,
        explanation: String::new(),
        evidence: Vec::new(),
        impact: String::new(),
    }
}

/// What the next cycle's agenda begins with.
pub async fn first_of_the_agenda(policies: &Policies) -> Result<String> {
    let diagnoses = vec![diagnosis("mild", Severity::Low), diagnosis("grave", Severity::Critical)];
    let agenda = pgheal::heal::prioritize::prioritize(policies, diagnoses).await;
    if let Some(error) = agenda.fallback {
        anyhow::bail!("the prioritizer failed: {error}");
    }
    Ok(agenda.items.first().context("an empty agenda")?.diagnosis.issue.id.clone())
}

/// The digest that serves under the name.
pub fn serving(policies: &Policies, name: &str) -> Option<String> {
    policies.status().policies.into_iter().find(|policy| policy.name == name).and_then(|policy| policy.digest)
}

pub fn policy(policies: &Policies, name: &str) -> Result<PolicyStatus> {
    let status = policies.status();
    let found = status.policies.iter().find(|policy| policy.name == name).cloned();
    found.with_context(|| format!("no policy {name}: {status:#?}"))
}

/// Why the file does not serve.
pub fn failure_of(policies: &Policies, file: &str) -> Option<FailureReport> {
    let status = policies.status();
    let own = status.policies.into_iter().filter_map(|policy| policy.failure);
    own.chain(status.failures).find(|failure| failure.file == file)
}

pub fn digest(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
