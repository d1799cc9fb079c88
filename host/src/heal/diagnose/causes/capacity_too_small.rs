use super::{DiagnosisInput, Finding, hnsw, is_about_search};
use crate::model::{Evidence, RootCause};

/// pgvector's default; below it the graph has fewer edges than most data need.
const USUAL_M: u32 = 16;

/// Even the most effort does not reach the target, and the graph has few edges.
pub(super) fn rule(input: &DiagnosisInput<'_>) -> Option<Finding> {
    if !is_about_search(input) {
        return None;
    }
    let health = input.health?;
    let m = hnsw(health)?.m.get()?;
    let best = health.search.curve.known()?.iter().map(|p| p.recall).fold(0.0, f64::max);
    if best >= input.recall_target {
        return None;
    }
    Some(Finding {
        cause: RootCause::CapacityTooSmall,
        confidence: if m < USUAL_M { 0.7 } else { 0.5 },
        explanation: format!("with m = {m} no measured ef_search gets beyond recall {best:.4}"),
        evidence: vec![Evidence::new("m", m), Evidence::new("best_recall", format!("{best:.4}"))],
    })
}
