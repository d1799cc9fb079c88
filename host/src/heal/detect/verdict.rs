use serde::Serialize;

use crate::model::{IndexHealth, Issue, Severity};

/// The health of an index in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Recall was measured and nothing is wrong that users would notice.
    Healthy,
    /// Nothing wrong was found, but recall could not be measured: no data is not health.
    Unknown,
    /// An issue of medium or high severity.
    Degraded,
    /// A critical issue.
    Critical,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Healthy => "healthy",
            Verdict::Unknown => "unknown",
            Verdict::Degraded => "degraded",
            Verdict::Critical => "critical",
        }
    }
}

/// Issues of low severity are advice and leave an index healthy.
pub fn verdict(health: &IndexHealth, issues: &[Issue]) -> Verdict {
    match issues.iter().map(|issue| issue.severity).max() {
        Some(Severity::Critical) => Verdict::Critical,
        Some(Severity::High | Severity::Medium) => Verdict::Degraded,
        Some(Severity::Low) | None if health.search.recall.known().is_some() => Verdict::Healthy,
        Some(Severity::Low) | None => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heal::detect::detectors::fixture;
    use crate::model::{IssueKind, Measured};

    fn check(recall: Measured<f64>, severities: &[Severity], expected: Verdict) {
        let mut health = fixture::hnsw_health();
        health.search.recall = recall;
        let issues: Vec<Issue> = severities
            .iter()
            .map(|severity| Issue {
                id: String::new(),
                severity: *severity,
                kind: IssueKind::StaleTraining { hours: 200.0 },
                index: None,
                evidence: Vec::new(),
            })
            .collect();
        assert_eq!(verdict(&health, &issues), expected);
    }

    #[test]
    fn the_worst_issue_decides_and_absence_of_data_is_not_health() {
        check(Measured::Known(1.0), &[], Verdict::Healthy);
        check(Measured::Known(1.0), &[Severity::Low], Verdict::Healthy);
        check(Measured::Known(0.9), &[Severity::Low, Severity::Medium], Verdict::Degraded);
        check(Measured::unknown("no pages"), &[Severity::High], Verdict::Degraded);
        check(Measured::unknown("no pages"), &[Severity::Critical], Verdict::Critical);
        check(Measured::unknown("no pages"), &[Severity::Low], Verdict::Unknown);
        check(Measured::unknown("no pages"), &[], Verdict::Unknown);
    }
}
