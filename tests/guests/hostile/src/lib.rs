//! Attacks as its settings say: SQL that tries to break out, functions that trap, repairs that do not end.

use pgheal_guest_sdk::*;

struct Hostile;

const FUNCTIONS: [&str; 6] = ["can-repair", "propose", "repair", "validate", "rollback", "estimated-duration"];
const ENDINGS: [&str; 4] = ["success", "error", "trap", "loop"];

impl Strategy for Hostile {
    fn name() -> String {
        "hostile".to_owned()
    }

    fn settings() -> Vec<SettingDeclaration> {
        let choice = |values: &[&str]| SettingKind::Choice(values.iter().map(|value| (*value).to_owned()).collect());
        vec![
            declare("attack", SettingKind::Text, None, "SQL statements of the repair, separated by lines of --."),
            declare("validation", SettingKind::Text, None, "The same, in validate."),
            declare("undoing", SettingKind::Text, None, "The same, in rollback."),
            declare("ending", choice(&ENDINGS), Some("error"), "How the repair ends."),
            declare("trap_in", choice(&FUNCTIONS), None, "The function that traps."),
            declare("act", SettingKind::Boolean, Some("false"), "Whether it vacuums before it ends."),
        ]
    }

    fn can_repair(issue: &Issue) -> bool {
        trap("can-repair");
        matches!(issue.kind, IssueKind::LowRecall(_) | IssueKind::BlindSpots(_))
    }

    fn propose(_issue: &Issue, _context: &RepairContext) -> String {
        trap("propose");
        String::new()
    }

    fn repair(issue: &Issue, _context: &RepairContext) -> Result<RepairResult, RepairError> {
        trap("repair");
        if setting("act") == "true" {
            host::actions::vacuum(index_of(issue)?)?;
        }
        run("attack");
        match setting("ending").as_str() {
            "success" => Ok(Report::new("attack").success()),
            "trap" => panic!("after the attack"),
            "loop" => {
                let mut turns = 0u64;
                loop {
                    turns = std::hint::black_box(turns.wrapping_add(1));
                }
            }
            _ => Err(RepairError::CannotImprove("it never meant to".to_owned())),
        }
    }

    fn validate(_issue: &Issue, _result: &RepairResult) -> bool {
        trap("validate");
        run("validation");
        true
    }

    fn rollback(result: &RepairResult) -> Result<(), RepairError> {
        error!("rollback of {} runs", result.repair_type);
        trap("rollback");
        run("undoing");
        Ok(())
    }

    fn estimated_duration(_issue: &Issue) -> u64 {
        trap("estimated-duration");
        1
    }
}

export_strategy!(Hostile);

fn setting(name: &str) -> String {
    host::settings::get(name).unwrap_or_default()
}

fn trap(function: &str) {
    if setting("trap_in") == function {
        panic!("trap in {function}");
    }
}

/// Runs the statements of a setting whatever each answers, and says what that was.
fn run(name: &str) {
    for sql in setting(name).split("\n--\n").filter(|sql| !sql.is_empty()) {
        match host::database::query(sql, &[]) {
            Ok(found) => error!("[{sql}] -> {:?}", found.rows),
            Err(error) => error!("[{sql}] refused: {}", host::explain(&error)),
        }
    }
}
