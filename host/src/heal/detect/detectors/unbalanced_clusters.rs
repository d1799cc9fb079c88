use super::super::{Observed, Thresholds};
use super::Finding;
use crate::model::{Evidence, IssueKind, Severity, Structure};

/// List sizes that differ too much: searches of the large lists are slow, and the small ones waste a probe. Medium;
/// High above twice the threshold.
pub(super) fn detect(observed: &Observed<'_>, thresholds: &Thresholds) -> Option<Finding> {
    let Structure::Ivfflat(ivfflat) = &observed.health.structure else { return None };
    let (balance, empty_clusters, lists) =
        (ivfflat.cluster_balance.get()?, ivfflat.empty_clusters.get()?, ivfflat.lists.get()?);
    (balance > thresholds.cluster_balance).then(|| {
        let mut evidence = vec![
            Evidence::new("cluster_balance", format!("{balance:.2}")),
            Evidence::new("empty_clusters", format!("{empty_clusters} of {lists}")),
        ];
        if let Some(quality) = ivfflat.centroid_quality.get() {
            evidence.push(Evidence::new("centroid_quality", format!("{quality:.3}")));
        }
        Finding {
            severity: if balance > 2.0 * thresholds.cluster_balance { Severity::High } else { Severity::Medium },
            kind: IssueKind::UnbalancedClusters { balance, empty_clusters, lists },
            evidence,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{hnsw_health, ivfflat_health, ivfflat_of, run};
    use super::*;
    use crate::model::Measured;

    fn check(balance: Measured<f64>, expected: Option<Severity>) {
        let mut health = ivfflat_health();
        ivfflat_of(&mut health).cluster_balance = balance;
        assert_eq!(run(detect, &health).map(|f| f.severity), expected);
    }

    #[test]
    fn fires_above_the_threshold() {
        check(Measured::Known(2.0), None);
        check(Measured::Known(2.1), Some(Severity::Medium));
        check(Measured::Known(4.1), Some(Severity::High));
        check(Measured::unknown("the index is empty"), None);
        assert!(run(detect, &hnsw_health()).is_none());
    }
}
