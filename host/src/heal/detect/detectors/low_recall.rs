use super::super::{Observed, Thresholds};
use super::Finding;
use crate::model::{Evidence, IssueKind, Severity};

/// Below the target by more than this, users notice it in every tenth row.
const GAP_HIGH: f64 = 0.1;
/// Below this most of what queries return is wrong.
const HALF: f64 = 0.5;

/// Mean recall below the target, at the parameter in force. Medium; High where it misses the target by more than
/// 0.1, Critical below 0.5.
pub(super) fn detect(observed: &Observed<'_>, thresholds: &Thresholds) -> Option<Finding> {
    let search = &observed.health.search;
    let (recall, target) = (search.recall.get()?, thresholds.recall_target);
    let (p5, parameter_in_force) = (search.recall_p5.get()?, search.parameter_in_force.get()?);
    (recall < target).then(|| Finding {
        severity: match recall {
            r if r < HALF => Severity::Critical,
            r if target - r > GAP_HIGH => Severity::High,
            _ => Severity::Medium,
        },
        kind: IssueKind::LowRecall { recall, p5, target, k: search.k, parameter_in_force },
        evidence: vec![
            Evidence::new("recall", format!("{recall:.4}")),
            Evidence::new("recall_p5", format!("{p5:.4}")),
            Evidence::new("recall_target", target),
            Evidence::new(observed.index.name.method.parameter(), parameter_in_force),
            Evidence::new("probe_queries", search.probe_count),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{hnsw_health, run};
    use super::*;
    use crate::model::Measured;

    fn check(recall: Measured<f64>, expected: Option<Severity>) {
        let mut health = hnsw_health();
        health.search.recall = recall;
        assert_eq!(run(detect, &health).map(|f| f.severity), expected);
    }

    #[test]
    fn fires_below_the_target() {
        check(Measured::Known(0.95), None);
        check(Measured::Known(0.949), Some(Severity::Medium));
        check(Measured::Known(0.84), Some(Severity::High));
        check(Measured::Known(0.3), Some(Severity::Critical));
        check(Measured::unknown("the index is empty"), None);
    }
}
