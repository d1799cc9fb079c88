//! How the policies are, for people and programs (`status.json`, `pgheal policy list --json`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

use super::book::{Book, Failed};
use super::{Ledger, file_name, now_ms};
use crate::components::{LoadFailure, LoadStep, Policies, PolicyKind};

const FORMAT: u32 = 1;
/// A directory full of junk is not told file by file.
const FAILURES_TOLD: usize = 100;

/// All policies of a directory. Times are in ms since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoliciesStatus {
    pub format: u32,
    /// Of the process that tells this.
    pub pid: u32,
    /// Whether that process serves the directory: watches it and remembers versions.
    pub serves: bool,
    pub directory: String,
    pub since_ms: u64,
    pub written_ms: u64,
    /// Why nothing is remembered; null where all is well.
    pub not_remembered: Option<String>,
    pub policies: Vec<PolicyStatus>,
    /// Files without a policy in service.
    pub failures: Vec<FailureReport>,
    /// Further ones.
    pub failures_untold: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyStatus {
    pub name: String,
    pub kind: PolicyKind,
    /// The name of its file in the directory.
    pub file: String,
    /// SHA-256 in hex of the version that serves; null where none does.
    pub digest: Option<String>,
    /// Since when that is so.
    pub since_ms: u64,
    pub state: PolicyState,
    /// Of the last 24 hours.
    pub strikes: u32,
    /// Since the version serves.
    pub calls: u64,
    /// By outcome.
    pub failed_calls: BTreeMap<String, u64>,
    /// Why the file's version does not serve.
    pub failure: Option<FailureReport>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyState {
    /// It serves. Where `failure` is set: in the version before its file's.
    Active,
    /// An earlier version stands in for the file's, which cannot be loaded or is in quarantine.
    Restored,
    /// Nothing serves: its version is in quarantine, and there is no other.
    Quarantined,
    /// Its file is gone.
    Retired,
    /// The configuration says that it is not asked.
    Disabled,
}

/// A file that does not serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureReport {
    /// The name of the file in the directory.
    pub file: String,
    /// SHA-256 in hex; null where the file could not be read.
    pub digest: Option<String>,
    pub step: LoadStep,
    pub reason: String,
    pub when_ms: u64,
}

impl fmt::Display for PolicyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PolicyState::Active => "active",
            PolicyState::Restored => "restored",
            PolicyState::Quarantined => "quarantined",
            PolicyState::Retired => "retired",
            PolicyState::Disabled => "disabled",
        })
    }
}

impl fmt::Display for FailureReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = self.digest.as_deref().map_or("unread", |digest| &digest[..digest.len().min(12)]);
        write!(f, "{} ({digest}) at {}: {}", self.file, self.step, self.reason)
    }
}

impl From<&Failed> for FailureReport {
    fn from(failed: &Failed) -> Self {
        FailureReport {
            file: file_name(&failed.failure.path),
            digest: failed.failure.digest.clone(),
            step: failed.failure.step,
            reason: failed.failure.reason.clone(),
            when_ms: failed.when_ms,
        }
    }
}

impl Policies {
    /// How the policies are now.
    pub fn status(&self) -> PoliciesStatus {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let registry = self.registry();
        let mut policies: Vec<PolicyStatus> = Vec::new();
        for slot in &registry.slots {
            // Between a swap and its telling, an old failure may still be there of what serves now.
            let is_its = |report: &FailureReport| slot.restored || report.digest.as_deref() != Some(slot.digest());
            let failure = ledger.failures.iter().find(|(path, report)| path == slot.path() && is_its(report));
            let version = slot.policy.version();
            policies.push(PolicyStatus {
                name: slot.name().to_owned(),
                kind: slot.policy.info().kind,
                file: file_name(slot.path()),
                digest: Some(slot.digest().to_owned()),
                since_ms: ledger.state.since(slot.name(), slot.digest()).unwrap_or(slot.since_ms),
                state: match (slot.policy.info().enabled, slot.restored) {
                    (false, _) => PolicyState::Disabled,
                    (true, true) => PolicyState::Restored,
                    (true, false) => PolicyState::Active,
                },
                strikes: version.strikes(),
                calls: version.calls(),
                failed_calls: version.failed_calls(),
                failure: failure.map(|(_, report)| report.clone()),
            });
        }
        let mut untold: Vec<FailureReport> = Vec::new();
        for (path, report) in &ledger.failures {
            if registry.at(path).is_some() {
                continue;
            }
            let known = ledger.state.policy_of_file(&report.file);
            match known.filter(|(name, _)| report.step == LoadStep::Quarantine && registry.named(name).is_none()) {
                Some((name, policy)) => policies.push(PolicyStatus {
                    name: name.clone(),
                    kind: policy.kind,
                    file: policy.file.clone(),
                    digest: None,
                    since_ms: report.when_ms,
                    state: PolicyState::Quarantined,
                    strikes: 0,
                    calls: 0,
                    failed_calls: BTreeMap::new(),
                    failure: Some(report.clone()),
                }),
                None => untold.push(report.clone()),
            }
        }
        for (name, policy) in &ledger.state.policies {
            let Some(retired_ms) = policy.retired_ms.filter(|_| registry.named(name).is_none()) else { continue };
            policies.push(PolicyStatus {
                name: name.clone(),
                kind: policy.kind,
                file: policy.file.clone(),
                digest: None,
                since_ms: retired_ms,
                state: PolicyState::Retired,
                strikes: 0,
                calls: 0,
                failed_calls: BTreeMap::new(),
                failure: None,
            });
        }
        let failures_untold = untold.len().saturating_sub(FAILURES_TOLD) as u64;
        untold.truncate(FAILURES_TOLD);
        PoliciesStatus {
            format: FORMAT,
            pid: std::process::id(),
            serves: ledger.serves,
            directory: self.options.directory.display().to_string(),
            since_ms: self.started_ms,
            written_ms: now_ms(),
            not_remembered: ledger.forgetful,
            policies,
            failures: untold,
            failures_untold,
        }
    }

    /// Files that do not serve, with the reason.
    pub fn failures(&self) -> Vec<LoadFailure> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).load_failures.clone()
    }

    /// Writes down how things stand after a pass; tells it to others where this process serves.
    pub(super) fn tell(&self, book: &Book) {
        let failures = book.failures.iter().map(|(path, failed)| (path.clone(), FailureReport::from(failed))).collect();
        let ledger = Ledger {
            failures,
            load_failures: book.failures.values().map(|failed| failed.failure.clone()).collect(),
            state: book.state.clone(),
            serves: book.lock.is_some(),
            forgetful: book.forgetful.clone(),
        };
        *self.ledger.lock().unwrap_or_else(PoisonError::into_inner) = ledger;
        if let Some(store) = book.writable()
            && let Err(error) = store.save_status(&self.status())
        {
            tracing::warn!("the policies' status cannot be told: {error:#}");
        }
    }
}
