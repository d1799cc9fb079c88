mod blind_spots;
mod fragmentation;
mod invalid_index;
mod known_bug;
mod long_vacuum;
mod low_recall;
mod orphan_nodes;
mod planner_ignores_index;
mod poor_connectivity;
mod stale_training;
mod unbalanced_clusters;

#[cfg(test)]
pub(super) mod fixture;

use super::{Observed, Thresholds};
use crate::model::{Evidence, IssueKind, Severity};

/// What a detector found.
pub(super) struct Finding {
    pub severity: Severity,
    pub kind: IssueKind,
    pub evidence: Vec<Evidence>,
}

pub(super) type Detector = fn(&Observed<'_>, &Thresholds) -> Option<Finding>;

pub(super) const ALL: [Detector; 11] = [
    invalid_index::detect,
    low_recall::detect,
    blind_spots::detect,
    poor_connectivity::detect,
    orphan_nodes::detect,
    fragmentation::detect,
    unbalanced_clusters::detect,
    stale_training::detect,
    long_vacuum::detect,
    planner_ignores_index::detect,
    known_bug::detect,
];

/// A share as a person reads it.
fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}
