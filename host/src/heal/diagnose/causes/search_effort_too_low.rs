use super::{DiagnosisInput, Finding, is_about_search};
use crate::model::{Evidence, RootCause};

/// The largest cost that counts as "a little more effort"; above, the index itself is the better suspect.
const REASONABLE_COST_RATIO: f64 = 4.0;

/// The measured curve reaches the target further up.
pub(super) fn rule(input: &DiagnosisInput<'_>) -> Option<Finding> {
    if !is_about_search(input) {
        return None;
    }
    let health = input.health?;
    let recommended = *health.recommended(input.recall_target, input.max_blind_share).known()?;
    let in_force = health.search.parameter_in_force.get()?;
    if recommended.value <= in_force {
        return None;
    }
    let cheap = recommended.cost_ratio <= REASONABLE_COST_RATIO;
    Some(Finding {
        cause: RootCause::SearchEffortTooLow,
        confidence: if cheap { 0.8 } else { 0.4 },
        explanation: format!(
            "{} instead of {in_force} reaches recall {:.4} at {:.1} times the cost",
            recommended.value, recommended.recall, recommended.cost_ratio
        ),
        evidence: vec![Evidence::new("cost_ratio", format!("{:.2}", recommended.cost_ratio))],
    })
}
