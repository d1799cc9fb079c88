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
