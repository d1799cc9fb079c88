use super::{DiagnosisInput, Finding, hnsw, is_about_search, unfindable_share};
use crate::model::{Evidence, RootCause};

/// Searches miss whole regions, and more effort does not enter them.
pub(super) fn rule(input: &DiagnosisInput<'_>) -> Option<Finding> {
    if !is_about_search(input) {
        return None;
    }
    let health = input.health?;
    hnsw(health)?;
    let share = unfindable_share(health)?;
    let curve = health.search.curve.known()?;
    let most_effort = curve.last()?;
    if share == 0.0 || most_effort.blind_share == 0.0 && most_effort.recall >= input.recall_target {
        return None;
    }
    let stays_blind = most_effort.blind_share > input.max_blind_share;
    Some(Finding {
        cause: RootCause::GraphBlindSpots,
        confidence: if stays_blind { 0.85 } else { 0.6 },
        explanation: format!(
            "{:.2} % of the elements are not found by their own vector, and at {} still {:.2} % of the queries are \
             blind: the descent never enters their region",
            share * 100.0,
            most_effort.value,
            most_effort.blind_share * 100.0
        ),
        evidence: vec![
            Evidence::new("unfindable_share", format!("{share:.4}")),
            Evidence::new("blind_share_at_most_effort", format!("{:.4}", most_effort.blind_share)),
        ],
    })
}
