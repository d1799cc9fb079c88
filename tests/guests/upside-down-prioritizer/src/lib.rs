//! Another version of the default prioritizer: the least severe first. What it does wrong, the issue's id says.

use pgheal_guest_sdk::*;

struct UpsideDown;

impl Prioritizer for UpsideDown {
    fn name() -> String {
        "prioritizer_default".to_owned()
    }

    fn compute_priority(issue: &Issue) -> f64 {
        match issue.id.as_str() {
            "nan" => return f64::NAN,
            "trap" => panic!("on purpose"),
            _ => {}
        }
        match issue.severity {
            Severity::Low => 4.0,
            Severity::Medium => 3.0,
            Severity::High => 2.0,
            Severity::Critical => 1.0,
        }
    }

    fn reason(_issue: &Issue) -> String {
        "upside down".to_owned()
    }
}

export_prioritizer!(UpsideDown);
