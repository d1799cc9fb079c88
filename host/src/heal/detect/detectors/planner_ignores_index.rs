use super::super::{Observed, PlannerEvidence, Thresholds};
use super::Finding;
use crate::model::{Evidence, IssueKind, Severity};

/// EXPLAIN showed that a query which the index could answer goes without it. High: the index does nothing for users
/// then. Raised only on evidence.
pub(super) fn detect(observed: &Observed<'_>, _: &Thresholds) -> Option<Finding> {
    match observed.planner.as_ref()? {
        PlannerEvidence::Ignores { reason } if observed.index.is_valid => Some(Finding {
            severity: Severity::High,
            kind: IssueKind::PlannerIgnoresIndex { reason: reason.clone() },
            evidence: vec![Evidence::new("plan", reason)],
        }),
        PlannerEvidence::Ignores { .. } | PlannerEvidence::Uses => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{hnsw_health, index};
    use super::*;
    use crate::model::AccessMethod;

    fn check(planner: Option<PlannerEvidence>, is_valid: bool, expected: Option<Severity>) {
        let mut index = index(AccessMethod::Hnsw);
        index.is_valid = is_valid;
        let health = hnsw_health();
        let mut observed = Observed::new("db", &index, &health);
        observed.planner = planner;
        assert_eq!(detect(&observed, &Thresholds::default()).map(|f| f.severity), expected);
    }

    #[test]
    fn fires_on_evidence_only() {
        let ignores = || Some(PlannerEvidence::Ignores { reason: "Seq Scan".to_owned() });
        check(ignores(), true, Some(Severity::High));
        check(ignores(), false, None);
        check(Some(PlannerEvidence::Uses), true, None);
        check(None, true, None);
    }
}
