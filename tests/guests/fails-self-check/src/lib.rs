//! Traps when it is tried out, and would answer 7 where it came into service nevertheless.

use pgheal_guest_sdk::*;

struct FailsSelfCheck;

impl Prioritizer for FailsSelfCheck {
    fn name() -> String {
        "prioritizer_default".to_owned()
    }

    fn compute_priority(issue: &Issue) -> f64 {
        if issue.id == "self-check" {
            panic!("cannot do that");
        }
        7.0
    }

    fn reason(_issue: &Issue) -> String {
        String::new()
    }
}

export_prioritizer!(FailsSelfCheck);
