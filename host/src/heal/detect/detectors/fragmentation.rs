use super::super::{Observed, Thresholds};
use super::{Finding, percent};
use crate::model::{Evidence, IssueKind, Severity, Structure};

/// Above this the specification asks for a full rebuild instead of a partial one.
const SEVERE: f64 = 0.8;

/// Deleted and free space above the threshold. Low: by itself it costs space and cache, not answers; Medium where
/// most of the index is waste.
pub(super) fn detect(observed: &Observed<'_>, thresholds: &Thresholds) -> Option<Finding> {
    let (level, elements_deleted) = match &observed.health.structure {
        Structure::Hnsw(hnsw) => (hnsw.fragmentation.get()?, hnsw.elements_deleted.get()?),
        Structure::Ivfflat(ivfflat) => (ivfflat.fragmentation.get()?, 0),
    };
    (level > thresholds.fragmentation).then(|| Finding {
        severity: if level > SEVERE { Severity::Medium } else { Severity::Low },
        kind: IssueKind::Fragmentation { level, elements_deleted },
        evidence: vec![
            Evidence::new("fragmentation", percent(level)),
            Evidence::new("elements_deleted", elements_deleted),
            Evidence::new("size_bytes", observed.health.size_bytes),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{hnsw_health, hnsw_of, ivfflat_health, ivfflat_of, run};
    use super::*;
    use crate::model::Measured;

    fn check(level: Measured<f64>, expected: Option<Severity>) {
        let mut health = hnsw_health();
        hnsw_of(&mut health).fragmentation = level.clone();
        assert_eq!(run(detect, &health).map(|f| f.severity), expected);
        let mut health = ivfflat_health();
        ivfflat_of(&mut health).fragmentation = level;
        assert_eq!(run(detect, &health).map(|f| f.severity), expected);
    }

    #[test]
    fn fires_above_the_threshold() {
        check(Measured::Known(0.5), None);
        check(Measured::Known(0.51), Some(Severity::Low));
        check(Measured::Known(0.81), Some(Severity::Medium));
        check(Measured::unknown("no pages"), None);
    }
}
