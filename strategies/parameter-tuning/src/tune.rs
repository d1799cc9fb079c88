use pgheal_guest_sdk::host::actions::SettingScope;
use pgheal_guest_sdk::*;

use crate::REPAIR_TYPE;
use crate::choice::{Choice, Goal, candidates, choose};

/// Real scans may do a little worse than the curve: then the next values are tried, so many in all.
const TRIES: usize = 3;

pub fn parameter(method: AccessMethod) -> &'static str {
    match method {
        AccessMethod::Hnsw => "hnsw.ef_search",
        AccessMethod::Ivfflat => "ivfflat.probes",
    }
}

pub fn tune(tools: &dyn IndexTools, kind: &IssueKind, context: &RepairContext) -> Result<RepairResult, RepairError> {
    let goal = Goal::of(context);
    let health = tools.health()?;
    choose(&health, kind, &goal).map_err(RepairError::CannotImprove)?;
    let choices = candidates(&health, &goal).map_err(RepairError::CannotImprove)?;

    // Real scans take long; what the host will refuse is refused before them.
    if let Some(reason) = refused(context) {
        return Err(RepairError::Host(format!("not granted: {reason}")));
    }
    let in_force = choices[0].in_force;
    let before = tools.validate_on_scans(in_force)?;
    let (choice, after) = first_that_holds(tools, &choices, &goal)?;
    let role = setting(context, "role");
    let scope = if role.is_some() { SettingScope::Role } else { SettingScope::Database };
    let name = parameter(tools.method());
    let value = choice.point.value;
    tools.set_parameter(name, &value.to_string(), scope, role)?;

    Ok(Report::new(REPAIR_TYPE)
        .detail("parameter", name)
        .detail("scope", role.map_or_else(|| "database".to_owned(), |role| format!("role {role}")))
        .detail("value_before", in_force)
        .detail("value", value)
        .detail("recall_on_scans_before", before.0)
        .detail("recall_on_scans", after.0)
        .detail("latency_ms_before", before.1)
        .detail("latency_ms", after.1)
        .detail("recall_expected", choice.point.recall)
        .detail("blind_share_expected", choice.point.blind_share)
        .detail("cost_ratio", choice.cost_ratio)
        .detail("recall_target", goal.recall)
        .detail("max_blind_share", goal.max_blind_share)
        .success())
}

/// Why the host would not set the parameter for the database; of a role's own setting nothing is known before.
pub fn refused(context: &RepairContext) -> Option<&str> {
    if setting(context, "role").is_some() { None } else { context.parameter_refused.as_deref() }
}

fn first_that_holds(
    tools: &dyn IndexTools,
    choices: &[Choice],
    goal: &Goal,
) -> Result<(Choice, (f64, f64)), RepairError> {
    let mut measured = Vec::new();
    for choice in choices.iter().take(TRIES) {
        let scans = tools.validate_on_scans(choice.point.value)?;
        if scans.0 >= goal.recall {
            return Ok((*choice, scans));
        }
        measured.push(format!("{:.4} at {}", scans.0, choice.point.value));
    }
    Err(RepairError::ValidationFailed(format!(
        "the curve promises recall {}, real scans give {}",
        goal.recall,
        measured.join(", ")
    )))
}

/// Whether the new value is in force and keeps its promise.
pub fn verify(tools: &dyn IndexTools, result: &RepairResult) -> Result<(), String> {
    let known = |name: &str| detail::<f64>(result, name).ok_or_else(|| format!("the result does not tell {name}"));
    let (target, max_blind) = (known("recall_target")?, known("max_blind_share")?);
    let value: u32 = detail(result, "value").ok_or("the result does not tell the value")?;
    let health = tools.health().map_err(|error| host::explain(&error))?;
    // A role's setting does not hold for the session that measures.
    let for_all = detail::<String>(result, "scope").is_some_and(|scope| scope == "database");
    if for_all && health.parameter_in_force.is_some_and(|in_force| in_force != value) {
        return Err(format!("{value} is not in force: {:?} is", health.parameter_in_force));
    }
    let (recall, _) = tools.validate_on_scans(value).map_err(|error| host::explain(&error))?;
    if recall < target {
        return Err(format!("recall {recall:.4} on real scans at {value}, {target} is wanted"));
    }
    let blind = health.curve.iter().find(|p| p.value == value).map(|p| p.blind_share);
    match blind {
        Some(blind) if blind <= max_blind => Ok(()),
        Some(blind) => Err(format!("{:.2} % of the queries are blind at {value}", blind * 100.0)),
        None => Err(format!("the blind share at {value} could not be measured")),
    }
}

#[cfg(test)]
mod tests {
    use pgheal_guest_sdk::testing::{self, PlayedIndex, sick};

    use super::*;

    fn kind() -> IssueKind {
        IssueKind::LowRecall(LowRecall { recall: 0.9, p5: 0.5, target: 0.95, k: 10, parameter_in_force: 40 })
    }

    fn index(scans_at_80: f64, scans_at_120: f64) -> PlayedIndex {
        let mut before = sick(0.9, 0.01, 0);
        before.curve = [(40, 0.9, 0.01, 100.0), (80, 0.96, 0.0, 180.0), (120, 0.97, 0.0, 250.0)]
            .map(|(value, recall, blind_share, cost)| CurvePoint { value, recall, blind_share, cost })
            .to_vec();
        let after = IndexHealth { parameter_in_force: Some(80), recall: Some(0.96), ..before.clone() };
        let mut index = PlayedIndex::new(vec![before, after], vec![]);
        index.scans = [(40, (0.9, 1.0)), (80, (scans_at_80, 1.5)), (120, (scans_at_120, 2.0))].into();
        index
    }

    fn check(index: &PlayedIndex, context: &RepairContext, calls: &[&str], expected: Result<u32, &str>) {
        let result = tune(index, &kind(), context);
        assert_eq!(*index.calls.borrow(), calls);
        match (result, expected) {
            (Ok(result), Ok(value)) => assert_eq!(detail(&result, "value"), Some(value)),
            (Err(RepairError::ValidationFailed(reason) | RepairError::Host(reason)), Err(part)) => {
                assert!(reason.contains(part), "{reason}");
            }
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn the_value_is_set_when_real_scans_keep_the_promise() {
        let context = testing::context(kind());
        check(&index(0.955, 0.97), &context, &["set hnsw.ef_search=80 for the database"], Ok(80));
        check(&index(0.94, 0.96), &context, &["set hnsw.ef_search=120 for the database"], Ok(120));
        check(&index(0.94, 0.945), &context, &[], Err("real scans give 0.9400 at 80, 0.9450 at 120"));
    }

    #[test]
    fn a_role_can_have_it_for_itself_and_others_settings_stay() {
        let mut context = testing::context(kind());
        context.settings = vec![("role".into(), "app".into())];
        check(&index(0.955, 0.97), &context, &["set hnsw.ef_search=80 for role app"], Ok(80));
        let mut refused = index(0.955, 0.97);
        refused.refuse_settings = true;
        check(&refused, &context, &[], Err("not granted: somebody else set it"));
    }

    #[test]
    fn a_setting_of_somebody_else_is_refused_before_any_scan() {
        let mut context = testing::context(kind());
        context.parameter_refused = Some("somebody else set it".into());
        // No scans are played: one would fail with another reason.
        let mut unscanned = index(0.955, 0.97);
        unscanned.scans.clear();
        check(&unscanned, &context, &[], Err("not granted: somebody else set it"));
        context.settings.push(("role".into(), "app".into()));
        check(&index(0.955, 0.97), &context, &["set hnsw.ef_search=80 for role app"], Ok(80));
    }

    #[test]
    fn a_result_is_valid_while_its_value_is_in_force_and_holds() {
        let index = index(0.955, 0.97);
        let result = tune(&index, &kind(), &testing::context(kind())).expect("80 reaches the target");
        assert_eq!(verify(&index, &result), Ok(()));
        index.healths.borrow_mut()[0].parameter_in_force = Some(40);
        assert!(verify(&index, &result).is_err_and(|reason| reason.contains("not in force")));
        assert!(verify(&index, &Report::new("x").success()).is_err());
    }
}
