use super::{DiagnosisInput, Finding, is_about_search, ivfflat};
use crate::model::{Evidence, IssueKind, RootCause};

/// The specification's threshold of cluster balance, halved: a lesser skew explains, though it is no issue.
const TELLING_BALANCE: f64 = 1.0;

/// A few lists hold most of the rows.
pub(super) fn rule(input: &DiagnosisInput<'_>) -> Option<Finding> {
    let unbalanced = matches!(input.issue.kind, IssueKind::UnbalancedClusters { .. });
    if !is_about_search(input) && !unbalanced {
        return None;
    }
    let balance = ivfflat(input.health?)?.cluster_balance.get()?;
    if balance < TELLING_BALANCE {
        return None;
    }
    Some(Finding {
        cause: RootCause::SkewedLists,
        confidence: if unbalanced { 0.7 } else { 0.5 },
        explanation: format!("the list sizes deviate by {balance:.1} times their mean"),
        evidence: vec![Evidence::new("cluster_balance", format!("{balance:.2}"))],
    })
}
