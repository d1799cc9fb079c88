use super::{DiagnosisInput, Finding, is_about_search, ivfflat};
use crate::model::{Evidence, IssueKind, RootCause};

/// Freshly trained lists measure close to 1 (`pgvector::ivfflat::health`).
const TELLING_CENTROID_QUALITY: f64 = 0.8;

/// The centres lie beside their members: the lists were trained on other rows.
pub(super) fn rule(input: &DiagnosisInput<'_>) -> Option<Finding> {
    let concerns_lists =
        matches!(input.issue.kind, IssueKind::UnbalancedClusters { .. } | IssueKind::StaleTraining { .. });
    if !is_about_search(input) && !concerns_lists {
        return None;
    }
    let quality = ivfflat(input.health?)?.centroid_quality.get()?;
    if quality >= TELLING_CENTROID_QUALITY {
        return None;
    }
    Some(Finding {
        cause: RootCause::StaleCentroids,
        confidence: 0.9,
        explanation: format!("the centres explain their members only to {quality:.2} of what a fresh training would"),
        evidence: vec![Evidence::new("centroid_quality", format!("{quality:.3}"))],
    })
}
