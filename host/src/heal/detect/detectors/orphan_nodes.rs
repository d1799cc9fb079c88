use super::super::{Observed, Thresholds};
use super::{Finding, percent};
use crate::model::{Evidence, IssueKind, Severity, Structure};

/// Live elements without an incoming edge at level 0: at the last step of a search nothing leads to them. Medium;
/// High above 1 % of the elements, Critical above 10 %.
pub(super) fn detect(observed: &Observed<'_>, thresholds: &Thresholds) -> Option<Finding> {
    let Structure::Hnsw(hnsw) = &observed.health.structure else { return None };
    let (count, elements_live) = (hnsw.orphan_count.get()?, hnsw.elements_live.get()?);
    (count > thresholds.orphans).then(|| {
        let share = count as f64 / elements_live.max(1) as f64;
        Finding {
            severity: match share {
                s if s > 0.1 => Severity::Critical,
                s if s > 0.01 => Severity::High,
                _ => Severity::Medium,
            },
            kind: IssueKind::OrphanNodes { count, elements_live },
            evidence: vec![Evidence::new("orphan_count", count), Evidence::new("share_of_elements", percent(share))],
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{hnsw_health, hnsw_of, ivfflat_health, run};
    use super::*;
    use crate::model::Measured;

    fn check(count: Measured<u64>, expected: Option<Severity>) {
        let mut health = hnsw_health();
        hnsw_of(&mut health).orphan_count = count;
        assert_eq!(run(detect, &health).map(|f| f.severity), expected);
    }

    #[test]
    fn fires_above_the_threshold() {
        check(Measured::Known(100), None);
        check(Measured::Known(101), Some(Severity::Medium));
        check(Measured::Known(201), Some(Severity::High));
        check(Measured::Known(2_001), Some(Severity::Critical));
        check(Measured::unknown("no pages"), None);
        assert!(run(detect, &ivfflat_health()).is_none());
    }
}
