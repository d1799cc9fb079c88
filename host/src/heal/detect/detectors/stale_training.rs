use super::super::{Observed, Thresholds};
use super::Finding;
use crate::model::{Evidence, IssueKind, Severity, Structure};

/// Lists that were trained long ago. Low: age alone harms nobody; whether the data has moved away shows in recall
/// and balance.
pub(super) fn detect(observed: &Observed<'_>, thresholds: &Thresholds) -> Option<Finding> {
    let Structure::Ivfflat(ivfflat) = &observed.health.structure else { return None };
    let hours = ivfflat.training_staleness_hours.get()?;
    (hours > thresholds.training_staleness_hours).then(|| Finding {
        severity: Severity::Low,
        kind: IssueKind::StaleTraining { hours },
        evidence: vec![Evidence::new("training_staleness_hours", format!("{hours:.1}"))],
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{hnsw_health, ivfflat_health, ivfflat_of, run};
    use super::*;
    use crate::model::Measured;

    fn check(hours: Measured<f64>, expected: Option<Severity>) {
        let mut health = ivfflat_health();
        ivfflat_of(&mut health).training_staleness_hours = hours;
        assert_eq!(run(detect, &health).map(|f| f.severity), expected);
    }

    #[test]
    fn fires_above_the_threshold() {
        check(Measured::Known(168.0), None);
        check(Measured::Known(168.5), Some(Severity::Low));
        check(Measured::unknown("PostgreSQL stores no build time"), None);
        assert!(run(detect, &hnsw_health()).is_none());
    }
}
