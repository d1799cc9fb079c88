use super::super::{Observed, Thresholds};
use super::{Finding, percent};
use crate::model::{Evidence, IssueKind, Severity, Structure};

/// Below this half of the rows are out of reach of every search.
const HALF: f64 = 0.5;

/// Too many live elements that no search can reach from the entry point: their rows are never found, with any
/// parameter. High; Critical where it is half of them.
pub(super) fn detect(observed: &Observed<'_>, thresholds: &Thresholds) -> Option<Finding> {
    let Structure::Hnsw(hnsw) = &observed.health.structure else { return None };
    let score = hnsw.connectivity_score.get()?;
    (score < thresholds.connectivity).then(|| {
        let mut evidence = vec![Evidence::new("connectivity_score", percent(score))];
        if let (Some(reachable), Some(live)) = (hnsw.elements_reachable.get(), hnsw.elements_live.get()) {
            evidence.push(Evidence::new("elements_reachable", format!("{reachable} of {live}")));
        }
        Finding {
            severity: if score < HALF { Severity::Critical } else { Severity::High },
            kind: IssueKind::PoorConnectivity { score },
            evidence,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{hnsw_health, hnsw_of, ivfflat_health, run};
    use super::*;
    use crate::model::Measured;

    fn check(score: Measured<f64>, expected: Option<Severity>) {
        let mut health = hnsw_health();
        hnsw_of(&mut health).connectivity_score = score;
        assert_eq!(run(detect, &health).map(|f| f.severity), expected);
    }

    #[test]
    fn fires_below_the_threshold() {
        check(Measured::Known(0.8), None);
        check(Measured::Known(0.79), Some(Severity::High));
        check(Measured::Known(0.4), Some(Severity::Critical));
        check(Measured::unknown("the index is empty"), None);
        assert!(run(detect, &ivfflat_health()).is_none());
    }
}
