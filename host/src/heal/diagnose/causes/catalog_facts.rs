use super::{DiagnosisInput, Finding};
use crate::model::{IssueKind, RootCause};

/// Issues that the catalog alone explains.
pub(super) fn rule(input: &DiagnosisInput<'_>) -> Option<Finding> {
    let (cause, explanation) = match &input.issue.kind {
        IssueKind::InvalidIndex { reason } | IssueKind::LeftoverIndex { reason, .. } => {
            (RootCause::InterruptedBuild, reason.clone())
        }
        IssueKind::KnownBug { advice, .. } => (RootCause::SoftwareBug, advice.clone()),
        IssueKind::Fragmentation { level, .. } => {
            (RootCause::Bloat, format!("{:.0} % of the index is deleted or free", level * 100.0))
        }
        _ => return None,
    };
    Some(Finding { cause, confidence: 0.85, explanation, evidence: Vec::new() })
}
