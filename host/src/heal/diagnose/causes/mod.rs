//! One rule per file: when this cause explains an issue, and how surely.

mod capacity_too_small;
mod catalog_facts;
mod churn;
mod graph_blind_spots;
mod search_effort_too_low;
mod skewed_lists;
mod stale_centroids;

use super::{DiagnosisInput, Finding};
use crate::model::{HnswHealth, IndexHealth, IssueKind, IvfflatHealth, Structure};

pub(super) type Rule = fn(&DiagnosisInput<'_>) -> Option<Finding>;

pub(super) const ALL: &[Rule] = &[
    capacity_too_small::rule,
    catalog_facts::rule,
    churn::rule,
    graph_blind_spots::rule,
    search_effort_too_low::rule,
    skewed_lists::rule,
    stale_centroids::rule,
];

/// Whether the issue says that searches answer badly.
fn is_about_search(input: &DiagnosisInput<'_>) -> bool {
    matches!(
        input.issue.kind,
        IssueKind::LowRecall { .. }
            | IssueKind::BlindSpots { .. }
            | IssueKind::OrphanNodes { .. }
            | IssueKind::PoorConnectivity { .. }
    )
}

fn hnsw(health: &IndexHealth) -> Option<&HnswHealth> {
    match &health.structure {
        Structure::Hnsw(h) => Some(h),
        Structure::Ivfflat(_) => None,
    }
}

fn ivfflat(health: &IndexHealth) -> Option<&IvfflatHealth> {
    match &health.structure {
        Structure::Ivfflat(h) => Some(h),
        Structure::Hnsw(_) => None,
    }
}

/// The share of the sampled elements that a search for their own vector misses.
fn unfindable_share(health: &IndexHealth) -> Option<f64> {
    let unfindable = health.search.unfindable.get()?;
    (unfindable.of_sampled > 0).then(|| unfindable.count as f64 / unfindable.of_sampled as f64)
}

/// The share of deleted slots among all element slots.
fn deleted_share(h: &HnswHealth) -> Option<f64> {
    let deleted = h.elements_deleted.get()?;
    let live = h.elements_live.get()?;
    (deleted + live > 0).then(|| deleted as f64 / (deleted + live) as f64)
}
