use pgheal_guest_sdk::*;

use crate::goal::{Goal, unfindable_share};

/// A fragmentation above this is rebuilt at once (specification).
const FULL_REBUILD_ABOVE: f64 = 0.8;
/// Re-inserting a row costs about twelve times its share of a build: beyond this share of rows, a build is cheaper.
/// The operator's setting `surgical_max_share` replaces it.
const SURGICAL_MAX_SHARE: f64 = 0.08;

/// The method to begin with.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// Re-insert what a search cannot find, as long as it gains; a rebuild where that is not enough.
    Surgical { repair_type: &'static str },
    /// Build beside, compare, swap.
    Rebuild { repair_type: &'static str, because: String },
    /// The same in place and without a way back: only `REINDEX CONCURRENTLY` works here.
    Reindex { because: String },
}

/// Chooses the method from the issue and what is measured and allowed.
///
/// # Errors
/// Why nothing can be done.
pub fn plan(
    kind: &IssueKind,
    method: AccessMethod,
    health: Option<&IndexHealth>,
    context: &RepairContext,
) -> Result<Method, RepairError> {
    let surgical_type = match kind {
        IssueKind::Fragmentation(_) => "partial_rebalance",
        _ => "orphan_reconnection",
    };
    let rebuild_type = match method {
        AccessMethod::Hnsw => "index_rebuild",
        AccessMethod::Ivfflat => "cluster_retraining",
    };
    match not_surgical(kind, method, health, context)? {
        None => Ok(Method::Surgical { repair_type: surgical_type }),
        Some(because) => rebuild(rebuild_type, because, context),
    }
}

/// A rebuild, in the form that is possible here.
pub fn rebuild(repair_type: &'static str, because: String, context: &RepairContext) -> Result<Method, RepairError> {
    match &context.rebuild_refused {
        None => Ok(Method::Rebuild { repair_type, because }),
        Some(refusal) if context.consent_irreversible => {
            Ok(Method::Reindex { because: format!("{because}; {refusal}") })
        }
        Some(refusal) => Err(RepairError::CannotImprove(format!(
            "{because}, but {refusal}, and a REINDEX in place cannot be undone: it needs the operator's consent"
        ))),
    }
}

/// Why re-insertion is not the method to begin with; None where it is.
fn not_surgical(
    kind: &IssueKind,
    method: AccessMethod,
    health: Option<&IndexHealth>,
    context: &RepairContext,
) -> Result<Option<String>, RepairError> {
    match (kind, method) {
        (IssueKind::InvalidIndex(invalid), _) => {
            return Ok(Some(format!("the index is invalid ({})", invalid.reason)));
        }
        (IssueKind::UnbalancedClusters(_) | IssueKind::StaleTraining(_), AccessMethod::Ivfflat) => {
            return Ok(Some("the lists no longer fit the rows".to_owned()));
        }
        (IssueKind::LowRecall(_) | IssueKind::BlindSpots(_) | IssueKind::Fragmentation(_), AccessMethod::Ivfflat) => {
            return Ok(Some("only new lists change what an ivfflat index finds".to_owned()));
        }
        (
            IssueKind::Fragmentation(_)
            | IssueKind::OrphanNodes(_)
            | IssueKind::PoorConnectivity(_)
            | IssueKind::LowRecall(_)
            | IssueKind::BlindSpots(_),
            AccessMethod::Hnsw,
        ) => {}
        _ => return Err(RepairError::UnsupportedIssue),
    }
    if let IssueKind::Fragmentation(fragmentation) = kind
        && let Some(because) = fragmentation_needs_rebuild(fragmentation, health)
    {
        return Ok(Some(because));
    }
    if let Some(refusal) = &context.reinsertion_refused {
        return Ok(Some(format!("rows cannot be re-inserted: {refusal}")));
    }
    let limit = setting(context, "surgical_max_share").and_then(|text| text.parse().ok()).unwrap_or(SURGICAL_MAX_SHARE);
    Ok(match health.and_then(unfindable_share) {
        None => Some("the unfindable rows are unknown".to_owned()),
        // Blind queries without an unfindable element: rows that are found without their neighbours.
        Some(0.0) if !matches!(kind, IssueKind::Fragmentation(_) | IssueKind::BlindSpots(_)) => {
            Some("every element is found by a search for its own vector".to_owned())
        }
        Some(share) if share > limit => {
            Some(format!("{:.1} % of the rows would have to be re-inserted, a build is cheaper", share * 100.0))
        }
        Some(_) => None,
    })
}

/// pgvector gives deleted slots back to later insertions only, vacuum shrinks nothing: re-insertion fills as many
/// slots as it re-inserts rows. Where that cannot be enough, only a build frees the space.
fn fragmentation_needs_rebuild(fragmentation: &Fragmentation, health: Option<&IndexHealth>) -> Option<String> {
    if fragmentation.level > FULL_REBUILD_ABOVE {
        return Some(format!("fragmentation {:.2} is above {FULL_REBUILD_ABOVE}", fragmentation.level));
    }
    let health = health?;
    let (level, deleted) = (health.fragmentation?, health.elements_deleted?);
    let unfindable = health.unfindable.unwrap_or(0);
    let remaining = level * (deleted.saturating_sub(unfindable) as f64 / deleted.max(1) as f64);
    let goal = Goal { recall: 0.0, max_blind_share: 1.0 };
    let mut after = health.clone();
    after.fragmentation = Some(remaining);
    goal.met(&IssueKind::Fragmentation(*fragmentation), &after).err().map(|missing| {
        format!(
            "deleted slots are reused by insertions only, and re-inserting the {unfindable} unfindable rows would leave {missing}"
        )
    })
}
