//! Detection: one measurement of an index in, issues out. Pure; what could not be measured raises nothing.

mod detectors;
mod issue_id;
mod observed;
mod thresholds;
mod verdict;

pub use issue_id::issue_id;
pub use observed::{Observed, PlannerEvidence};
pub use thresholds::Thresholds;
pub use verdict::{Verdict, verdict};

use crate::model::{IndexDefinition, IndexHealth, Issue};

/// The issues of one index, the most severe first.
pub fn detect(database: &str, index: &IndexDefinition, health: &IndexHealth, thresholds: &Thresholds) -> Vec<Issue> {
    detect_in(&Observed::new(database, index, health), thresholds)
}

/// As `detect`, with what else is known of the server and the planner.
pub fn detect_in(observed: &Observed<'_>, thresholds: &Thresholds) -> Vec<Issue> {
    let mut issues: Vec<Issue> = detectors::ALL
        .iter()
        .filter_map(|detector| detector(observed, thresholds))
        .map(|finding| Issue {
            id: issue_id(&finding.kind, observed.database, &observed.index.name),
            severity: finding.severity,
            kind: finding.kind,
            index: Some(observed.index.name.clone()),
            evidence: finding.evidence,
        })
        .collect();
    issues.sort_by_key(|issue| std::cmp::Reverse(issue.severity));
    issues
}
