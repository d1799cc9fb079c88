//! Repairs what an index has become: re-inserts the rows that no search finds, or builds it anew beside the old one.
//! Cheap first, measured, then escalated; what does not help is found out by measuring and said.

mod goal;
mod parameters;
mod plan;
mod rebuild;
mod repair;
mod surgical;

use goal::Goal;
use pgheal_guest_sdk::*;
use plan::{Method, plan};

struct IndexRebalance;

/// The specification's estimates, in ms, where no repair of the kind has been measured yet.
const REBUILD_MS: u64 = 300_000;
const CLUSTERS_MS: u64 = 120_000;
const OTHER_MS: u64 = 60_000;

impl Strategy for IndexRebalance {
    fn name() -> String {
        "index_rebalance".to_owned()
    }

    fn settings() -> Vec<SettingDeclaration> {
        vec![
            declare(
                "surgical_max_share",
                SettingKind::Number((0.0, 1.0)),
                Some("0.08"),
                "Beyond this share of unfindable rows it rebuilds at once instead of re-inserting them.",
            ),
            declare("max_builds", SettingKind::Integer((0, 10)), Some("3"), "Builds of one repair, each denser."),
            declare("max_m", SettingKind::Integer((2, 100)), Some("48"), "The largest m that a rebuild chooses."),
        ]
    }

    fn can_repair(issue: &Issue) -> bool {
        let Some(index) = &issue.index else { return false };
        match issue.kind {
            IssueKind::Fragmentation(_)
            | IssueKind::LowRecall(_)
            | IssueKind::BlindSpots(_)
            | IssueKind::InvalidIndex(_) => true,
            IssueKind::OrphanNodes(_) | IssueKind::PoorConnectivity(_) => index.method == AccessMethod::Hnsw,
            IssueKind::UnbalancedClusters(_) | IssueKind::StaleTraining(_) => index.method == AccessMethod::Ivfflat,
            _ => false,
        }
    }

    fn propose(issue: &Issue, context: &RepairContext) -> String {
        let Ok(tools) = HostTools::of(issue) else { return "nothing: the issue names no index".to_owned() };
        let health = tools.health().ok();
        let method = tools.method();
        match plan(&issue.kind, method, health.as_ref(), context) {
            Ok(Method::Surgical { .. }) => format!(
                "re-insert the {} rows that a search cannot find and vacuum, again while it gains; a rebuild {} where \
                 that does not reach the target",
                surgical::or_unknown(health.as_ref().and_then(|health| health.unfindable)),
                rebuild::first_build(method, &issue.kind, health.as_ref(), context)
            ),
            Ok(Method::Rebuild { because, .. }) => format!(
                "build anew {} beside the old index, swap if it measures better ({because})",
                rebuild::first_build(method, &issue.kind, health.as_ref(), context)
            ),
            Ok(Method::Reindex { because }) => format!("REINDEX CONCURRENTLY, without a way back ({because})"),
            Err(RepairError::CannotImprove(reason)) => format!("nothing: {reason}"),
            Err(_) => "nothing: this strategy does not repair this kind of issue".to_owned(),
        }
    }

    fn repair(issue: &Issue, context: &RepairContext) -> Result<RepairResult, RepairError> {
        if !Self::can_repair(issue) {
            return Err(RepairError::UnsupportedIssue);
        }
        repair::repair(&HostTools::of(issue)?, &issue.kind, context)
    }

    fn validate(issue: &Issue, result: &RepairResult) -> bool {
        let (Ok(tools), Some(goal)) = (HostTools::of(issue), Goal::read(result)) else { return false };
        let missing = match tools.health() {
            Ok(health) => goal.met(&issue.kind, &health).err(),
            Err(error) => Some(host::explain(&error)),
        };
        if let Some(missing) = &missing {
            warn!("not healed: {missing}");
        }
        missing.is_none()
    }

    fn estimated_duration(issue: &Issue) -> u64 {
        let (repair_type, estimate_ms) = match &issue.kind {
            IssueKind::Fragmentation(fragmentation) if fragmentation.level > 0.8 => ("index_rebuild", REBUILD_MS),
            IssueKind::InvalidIndex(_) => ("index_rebuild", REBUILD_MS),
            IssueKind::Fragmentation(_) => ("partial_rebalance", OTHER_MS),
            IssueKind::OrphanNodes(orphans) => ("orphan_reconnection", (orphans.count / 100 + 10) * 1_000),
            IssueKind::UnbalancedClusters(_) | IssueKind::StaleTraining(_) => ("cluster_retraining", CLUSTERS_MS),
            _ => ("orphan_reconnection", OTHER_MS),
        };
        host::measure::past_duration_ms(repair_type).unwrap_or(estimate_ms)
    }
}

export_strategy!(IndexRebalance);
