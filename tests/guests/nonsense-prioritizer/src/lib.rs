//! Answers with what the first diagnosis' issue id says.

use pgheal_guest_sdk::*;

struct Nonsense;

impl Prioritizer for Nonsense {
    fn name() -> String {
        "nonsense".to_owned()
    }

    fn compute_priority(issue: &Issue) -> f64 {
        match issue.id.as_str() {
            "nan" => f64::NAN,
            "huge" => f64::INFINITY,
            _ => -5.0,
        }
    }

    fn reason(_issue: &Issue) -> String {
        "x".repeat(10_000)
    }

    fn prioritize(diagnoses: &[Diagnosis]) -> Vec<Ranked> {
        let all = |position: u32| Ranked { position, priority: 1.0, reason: Self::reason(&diagnoses[0].issue) };
        match diagnoses[0].issue.id.as_str() {
            "twice" => vec![all(0); diagnoses.len()],
            "beyond" => vec![all(diagnoses.len() as u32)],
            "none" => Vec::new(),
            // One by one: memory ends it, and not the arithmetic of a capacity.
            "billion" => {
                let mut ranked = Vec::new();
                for position in 0..1_000_000_000 {
                    ranked.push(Ranked { position, priority: 1.0, reason: String::new() });
                }
                ranked
            }
            "many" => (0..100_000).map(|position| Ranked { position, priority: 1.0, reason: String::new() }).collect(),
            _ => (0..diagnoses.len() as u32).map(all).collect(),
        }
    }
}

export_prioritizer!(Nonsense);
