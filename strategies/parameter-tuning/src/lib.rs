//! Sets the smallest `hnsw.ef_search` or `ivfflat.probes` that reaches the recall target on the measured curve
//! and on real index scans. The host undoes it by putting the former setting back.

mod choice;
mod tune;

use choice::{Goal, choose};
use pgheal_guest_sdk::*;

struct ParameterTuning;

const REPAIR_TYPE: &str = "parameter_tuning";
/// Two measurements on real scans of 1,000 queries and one statement.
const ESTIMATE_MS: u64 = 10_000;

impl Strategy for ParameterTuning {
    fn name() -> String {
        REPAIR_TYPE.to_owned()
    }

    fn settings() -> Vec<SettingDeclaration> {
        vec![
            declare(
                "max_cost_ratio",
                SettingKind::Number((1.0, 1000.0)),
                Some("4"),
                "The largest increase of a search's cost that is accepted, as a factor.",
            ),
            declare("role", SettingKind::Text, None, "Set the parameter for this role instead of the database."),
        ]
    }

    fn can_repair(issue: &Issue) -> bool {
        matches!(issue.kind, IssueKind::LowRecall(_) | IssueKind::BlindSpots(_)) && issue.index.is_some()
    }

    fn propose(issue: &Issue, context: &RepairContext) -> String {
        let goal = Goal::of(context);
        let (Ok(tools), true) = (HostTools::of(issue), Self::can_repair(issue)) else {
            return "nothing: this kind of issue is not about a search parameter".to_owned();
        };
        if let Some(reason) = tune::refused(context) {
            return format!("nothing: {reason}");
        }
        match tools.health() {
            Ok(health) => match choose(&health, &issue.kind, &goal) {
                Ok(choice) => format!(
                    "set {} from {} to {}: recall {:.4}, blind queries {:.2} %, {:.1} times the cost of a query",
                    tune::parameter(tools.method()),
                    choice.in_force,
                    choice.point.value,
                    choice.point.recall,
                    choice.point.blind_share * 100.0,
                    choice.cost_ratio
                ),
                Err(reason) => format!("nothing: {reason}"),
            },
            Err(error) => format!("unknown before a measurement ({})", host::explain(&error)),
        }
    }

    fn repair(issue: &Issue, context: &RepairContext) -> Result<RepairResult, RepairError> {
        if !Self::can_repair(issue) {
            return Err(RepairError::UnsupportedIssue);
        }
        tune::tune(&HostTools::of(issue)?, &issue.kind, context)
    }

    fn validate(issue: &Issue, result: &RepairResult) -> bool {
        let Ok(tools) = HostTools::of(issue) else { return false };
        match tune::verify(&tools, result) {
            Ok(()) => true,
            Err(reason) => {
                warn!("not healed: {reason}");
                false
            }
        }
    }

    fn estimated_duration(_issue: &Issue) -> u64 {
        host::measure::past_duration_ms(REPAIR_TYPE).unwrap_or(ESTIMATE_MS)
    }
}

export_strategy!(ParameterTuning);
