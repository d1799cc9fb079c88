use pgheal_guest_sdk::*;

use crate::goal::{Goal, unfindable_share};
use crate::plan::{self, Method, plan};
use crate::rebuild::{rebuild, reindex};
use crate::surgical::{Outcome, measured, reconnect};

/// Carries the plan out, and the next stronger method where it was not enough.
pub fn repair(tools: &dyn IndexTools, kind: &IssueKind, context: &RepairContext) -> Result<RepairResult, RepairError> {
    let goal = Goal::of(context);
    // An invalid index may not be measurable; a build of it is all the same.
    let mut health = match tools.health() {
        Ok(health) => Some(health),
        Err(_) if matches!(kind, IssueKind::InvalidIndex(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let mut method = plan(kind, tools.method(), health.as_ref(), context)?;
    let mut report = Report::new("");
    let mut kept = None;
    goal.write(&mut report);
    if let Some(health) = &health {
        measured(&mut report, "before", health);
    }
    if let (Method::Surgical { repair_type }, Some(found)) = (&method, &health) {
        report.repair_type(repair_type);
        match reconnect(tools, kind, &goal, found.clone(), &mut report)? {
            Outcome::Healed => return Ok(report.success()),
            Outcome::NotEnough(missing) => {
                report.add("escalated", &missing);
                warn!("re-insertion was not enough: {missing}");
                let left = tools.health()?;
                kept = what_stays(found, &left);
                health = Some(left);
                method = plan::rebuild("index_rebuild", missing, context).map_err(|error| and_stays(error, &kept))?;
            }
        }
    }
    match method {
        Method::Rebuild { repair_type, because } => {
            report.repair_type(repair_type);
            report.add("because", because);
            rebuild(tools, kind, &goal, context, health.as_ref(), &mut report)
                .map_err(|error| and_stays(error, &kept))?;
        }
        Method::Reindex { because } => {
            report.repair_type("index_rebuild");
            report.add("because", because);
            reindex(tools, kind, &goal, &mut report)?;
        }
        Method::Surgical { .. } => {
            return Err(RepairError::Host("re-insertion needs a measurement, and there is none".to_owned()));
        }
    }
    Ok(report.success())
}

/// What re-insertion did for the index although the goal is missed: nothing of it is taken back.
fn what_stays(before: &IndexHealth, after: &IndexHealth) -> Option<String> {
    let (blind_before, blind_after) = (before.blind_share?, after.blind_share?);
    let (share_before, share_after) = (unfindable_share(before)?, unfindable_share(after)?);
    (share_after < share_before && blind_after <= blind_before).then(|| {
        format!(
            "what re-insertion gained stays: {:.2} % unfindable, before {:.2} %; {:.2} % blind, before {:.2} %",
            share_after * 100.0,
            share_before * 100.0,
            blind_after * 100.0,
            blind_before * 100.0
        )
    })
}

/// The failure of the stronger method, with what stays all the same.
fn and_stays(error: RepairError, kept: &Option<String>) -> RepairError {
    match (error, kept) {
        (RepairError::CannotImprove(reason), Some(kept)) => RepairError::CannotImprove(format!("{reason}; {kept}")),
        (RepairError::ValidationFailed(reason), Some(kept)) => {
            RepairError::ValidationFailed(format!("{reason}; {kept}"))
        }
        (RepairError::Host(reason), Some(kept)) => RepairError::Host(format!("{reason}; {kept}")),
        (error, _) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgheal_guest_sdk::testing::{self, PlayedIndex, health, sick};

    fn blind_spots() -> IssueKind {
        IssueKind::BlindSpots(BlindSpots { blind_share: 0.02, unfindable: 100, unfindable_of: 10_000 })
    }

    fn context() -> RepairContext {
        testing::context(blind_spots())
    }

    fn check(index: &PlayedIndex, kind: &IssueKind, context: &RepairContext, calls: &[&str], ends: Result<&str, &str>) {
        let result = repair(index, kind, context);
        assert_eq!(*index.calls.borrow(), calls);
        match (result, ends) {
            (Ok(result), Ok(repair_type)) => {
                assert_eq!(result.repair_type, repair_type);
                let goal = Goal::read(&result).expect("validate needs the goal");
                assert_eq!(goal, Goal::of(context));
            }
            (Err(RepairError::CannotImprove(reason) | RepairError::ValidationFailed(reason)), Err(part)) => {
                assert!(reason.contains(part), "{reason}");
            }
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn rounds_go_on_while_they_gain() {
        let index = PlayedIndex::new(vec![sick(0.94, 0.01, 600), sick(0.97, 0.0, 120), sick(0.99, 0.0, 5)], vec![]);
        let calls = ["reinsert 600", "vacuum", "reinsert 120", "vacuum"];
        check(&index, &blind_spots(), &context(), &calls, Ok("orphan_reconnection"));
    }

    #[test]
    fn one_bad_round_does_not_end_it() {
        let index = PlayedIndex::new(vec![sick(0.94, 0.01, 37), sick(0.93, 0.02, 85), sick(0.99, 0.0, 5)], vec![]);
        let calls = ["reinsert 37", "vacuum", "reinsert 85", "vacuum"];
        check(&index, &blind_spots(), &context(), &calls, Ok("orphan_reconnection"));
    }

    #[test]
    fn a_goal_that_is_met_ends_it_where_nothing_more_is_gained() {
        let index = PlayedIndex::new(vec![sick(0.94, 0.01, 600), sick(0.97, 0.0, 40), sick(0.97, 0.0, 39)], vec![]);
        let calls = ["reinsert 600", "vacuum", "reinsert 40", "vacuum"];
        check(&index, &blind_spots(), &context(), &calls, Ok("orphan_reconnection"));
    }

    #[test]
    fn what_reinsertion_does_not_reach_is_built_denser() {
        let stuck = vec![sick(0.90, 0.03, 700), sick(0.92, 0.02, 690)];
        let index = PlayedIndex::new(stuck.clone(), vec![(health(), true)]);
        // The first round leaves fewer blind queries; the three after it gain nothing.
        let rounds =
            ["reinsert 700", "vacuum"].into_iter().chain(["reinsert 690", "vacuum"].into_iter().cycle().take(6));
        let rounds: Vec<&str> = rounds.collect();
        let calls = [&rounds[..], &["build m=16 ef_construction=128", "swap"]].concat();
        check(&index, &blind_spots(), &context(), &calls, Ok("index_rebuild"));

        let mut denser = sick(0.94, 0.0, 0);
        (denser.m, denser.ef_construction) = (Some(16), Some(128));
        let index = PlayedIndex::new(stuck, vec![(denser, true), (health(), true)]);
        let builds = ["build m=16 ef_construction=128", "discard", "build m=24 ef_construction=200", "swap"];
        check(&index, &blind_spots(), &context(), &[&rounds[..], &builds].concat(), Ok("index_rebuild"));
    }

    #[test]
    fn a_gate_that_is_not_passed_leaves_nothing_behind() {
        let mut dense = sick(0.90, 0.03, 2_000);
        (dense.m, dense.ef_construction) = (Some(48), Some(200));
        let index = PlayedIndex::new(vec![dense.clone()], vec![(dense, false)]);
        let calls = ["build", "discard"];
        check(&index, &blind_spots(), &context(), &calls, Err("the gate is not passed: played"));
    }

    #[test]
    fn what_reinsertion_gained_is_told_where_the_rebuild_fails() {
        let mut first = sick(0.90, 0.03, 700);
        let mut then = sick(0.93, 0.02, 90);
        (first.m, first.ef_construction, then.m, then.ef_construction) = (Some(48), Some(200), Some(48), Some(200));
        let index = PlayedIndex::new(vec![first, then.clone()], vec![(then, false)]);
        let result = repair(&index, &blind_spots(), &context());
        let Err(RepairError::CannotImprove(reason)) = result else { panic!("{result:?}") };
        assert!(reason.contains("stays: 0.90 % unfindable, before 7.00 %; 2.00 % blind, before 3.00 %"), "{reason}");
    }

    #[test]
    fn refusals_are_respected() {
        let mut refused = context();
        refused.reinsertion_refused = Some("row security".into());
        let index = PlayedIndex::new(vec![sick(0.90, 0.03, 100)], vec![(health(), true)]);
        let calls = ["build m=16 ef_construction=128", "swap"];
        check(&index, &blind_spots(), &refused, &calls, Ok("index_rebuild"));

        refused.rebuild_refused = Some("it is a partition's index".into());
        let index = PlayedIndex::new(vec![sick(0.90, 0.03, 100)], vec![]);
        check(&index, &blind_spots(), &refused, &[], Err("consent"));

        refused.consent_irreversible = true;
        let index = PlayedIndex::new(vec![sick(0.90, 0.03, 100), health()], vec![]);
        check(&index, &blind_spots(), &refused, &["reindex"], Ok("index_rebuild"));
        let index = PlayedIndex::new(vec![sick(0.90, 0.03, 100), sick(0.91, 0.03, 90)], vec![]);
        check(&index, &blind_spots(), &refused, &["reindex"], Err("recall 0.9100"));

        let mut index = PlayedIndex::new(vec![sick(0.90, 0.03, 100)], vec![(health(), true)]);
        index.refuse_reinsertion = true;
        let calls = ["build m=16 ef_construction=128", "swap"];
        check(&index, &blind_spots(), &context(), &calls, Ok("index_rebuild"));
    }

    #[test]
    fn fragmentation_is_rebuilt_where_reinsertion_cannot_fill_it() {
        let kind = |level| IssueKind::Fragmentation(Fragmentation { level, elements_deleted: 1_000 });
        let fragmented = |level, unfindable| {
            let mut health = sick(0.98, 0.0, unfindable);
            (health.fragmentation, health.elements_deleted) = (Some(level), Some(1_000));
            health
        };
        let rebuilt = ["build", "swap"];
        let index = PlayedIndex::new(vec![fragmented(0.9, 700)], vec![(health(), true)]);
        check(&index, &kind(0.9), &context(), &rebuilt, Ok("index_rebuild"));
        let index = PlayedIndex::new(vec![fragmented(0.6, 100)], vec![(health(), true)]);
        check(&index, &kind(0.6), &context(), &rebuilt, Ok("index_rebuild"));
        let index = PlayedIndex::new(vec![fragmented(0.6, 700), fragmented(0.2, 3)], vec![]);
        check(&index, &kind(0.6), &context(), &["reinsert 700", "vacuum"], Ok("partial_rebalance"));
    }

    #[test]
    fn lists_are_trained_anew_and_made_fewer_where_the_probes_do_not_reach() {
        let lists = |recall: f64, lists| {
            let mut health = sick(recall, 0.0, 0);
            (health.lists, health.parameter_in_force, health.unfindable) = (Some(lists), Some(1), None);
            health.curve = vec![
                CurvePoint { value: 1, recall, blind_share: 0.0, cost: 100.0 },
                CurvePoint { value: 5, recall: 0.97, blind_share: 0.0, cost: 500.0 },
            ];
            health
        };
        let kind = IssueKind::LowRecall(LowRecall { recall: 0.6, p5: 0.0, target: 0.95, k: 10, parameter_in_force: 1 });
        let mut index = PlayedIndex::new(vec![lists(0.6, 50)], vec![(lists(0.8, 50), true), (lists(0.96, 10), true)]);
        index.method = AccessMethod::Ivfflat;
        let calls = ["build", "discard", "build lists=11", "swap"];
        check(&index, &kind, &context(), &calls, Ok("cluster_retraining"));
    }

    #[test]
    fn an_issue_of_the_other_method_is_not_its_business() {
        let index = PlayedIndex::new(vec![health()], vec![]);
        let result = repair(&index, &IssueKind::StaleTraining(StaleTraining { hours: 200.0 }), &context());
        assert_eq!(result, Err(RepairError::UnsupportedIssue));
    }
}
