use pgheal_guest_sdk::host::actions::{AS_IT_IS, BuildOptions};
use pgheal_guest_sdk::*;

use crate::goal::Goal;
use crate::parameters::{denser, fewer_lists, retrained};
use crate::surgical::{measured, or_unknown};

/// Each is a whole build; the operator's setting `max_builds` replaces it.
const MAX_BUILDS: usize = 3;
/// The operator's setting `max_m` replaces it.
const MAX_M: u32 = 48;

/// Builds beside the index until a build passes the gate and reaches the goal, and swaps that one in. Every other is
/// discarded.
///
/// # Errors
/// `CannotImprove` with what each build measured.
pub fn rebuild(
    tools: &dyn IndexTools,
    kind: &IssueKind,
    goal: &Goal,
    context: &RepairContext,
    health: Option<&IndexHealth>,
    report: &mut Report,
) -> Result<(), RepairError> {
    let max_builds = setting(context, "max_builds").and_then(|text| text.parse().ok()).unwrap_or(MAX_BUILDS);
    let mut next = Some(first(tools.method(), kind, health, context));
    let mut tried = Vec::new();
    while let Some(options) = next.take()
        && tried.len() < max_builds
    {
        let candidate = tools.build_beside(options)?;
        let comparison = tools.compare(&candidate)?;
        let missing = if comparison.gate_passed {
            goal.met(kind, &comparison.after).err()
        } else {
            Some(format!("the gate is not passed: {}", comparison.reason))
        };
        let Some(missing) = missing else {
            tools.swap(&candidate)?;
            report.add("builds", tried.len() + 1);
            report.add("build", describe(options));
            report.add("build_ms", candidate.build_ms);
            report.add("gate", &comparison.reason);
            for (when, latency) in [("before", comparison.latency_before_ms), ("after", comparison.latency_after_ms)] {
                if let Some(latency) = latency {
                    report.add(&format!("latency_ms_{when}"), latency);
                }
            }
            measured(report, "after_build", &comparison.after);
            return Ok(());
        };
        info!("build {}: {missing}", describe(options));
        tools.discard(&candidate)?;
        tried.push(format!("{}: {missing}", describe(options)));
        next = another(tools.method(), kind, &comparison.after, goal, context);
    }
    Err(RepairError::CannotImprove(format!("{} builds were measured and discarded; {}", tried.len(), tried.join("; "))))
}

/// In place and without a way back, where nothing else works.
pub fn reindex(tools: &dyn IndexTools, kind: &IssueKind, goal: &Goal, report: &mut Report) -> Result<(), RepairError> {
    tools.reindex_concurrently()?;
    report.add("irreversible", true);
    let health = tools.health()?;
    measured(report, "after_build", &health);
    goal.met(kind, &health).map_err(RepairError::ValidationFailed)
}

/// Rebuilding a graph with the parameters that it has is a new ticket in the same lottery: where it cannot find
/// enough, it gets denser at once.
fn first(
    method: AccessMethod,
    kind: &IssueKind,
    health: Option<&IndexHealth>,
    context: &RepairContext,
) -> BuildOptions {
    let Some(health) = health else { return AS_IT_IS };
    match (method, kind) {
        (AccessMethod::Hnsw, IssueKind::LowRecall(_) | IssueKind::BlindSpots(_)) => {
            denser_than(health, context).unwrap_or(AS_IT_IS)
        }
        (AccessMethod::Hnsw, _) => AS_IT_IS,
        (AccessMethod::Ivfflat, _) => retrained(health),
    }
}

/// What to build after a build that was measured and did not do.
fn another(
    method: AccessMethod,
    kind: &IssueKind,
    built: &IndexHealth,
    goal: &Goal,
    context: &RepairContext,
) -> Option<BuildOptions> {
    match (method, kind) {
        (
            AccessMethod::Hnsw,
            IssueKind::LowRecall(_)
            | IssueKind::BlindSpots(_)
            | IssueKind::OrphanNodes(_)
            | IssueKind::PoorConnectivity(_),
        ) => denser_than(built, context),
        (AccessMethod::Ivfflat, IssueKind::LowRecall(_) | IssueKind::BlindSpots(_)) => {
            fewer_lists(built, goal.recall, goal.max_blind_share)
        }
        _ => None,
    }
}

fn denser_than(health: &IndexHealth, context: &RepairContext) -> Option<BuildOptions> {
    let max_m = setting(context, "max_m").and_then(|text| text.parse().ok()).unwrap_or(MAX_M);
    denser(health.m?, health.ef_construction?, max_m)
}

fn describe(options: BuildOptions) -> String {
    match options {
        BuildOptions { m: None, ef_construction: None, lists: None } => "with the same parameters".to_owned(),
        BuildOptions { lists: Some(lists), .. } => format!("with lists = {lists}"),
        BuildOptions { m, ef_construction, .. } => {
            format!("with m = {}, ef_construction = {}", or_unknown(m), or_unknown(ef_construction))
        }
    }
}

/// The first build, for a proposal.
pub fn first_build(
    method: AccessMethod,
    kind: &IssueKind,
    health: Option<&IndexHealth>,
    context: &RepairContext,
) -> String {
    describe(first(method, kind, health, context))
}
