//! Issue and measurement in, root cause out. Pure: the same input gives the same diagnosis.

mod causes;

use crate::model::{Diagnosis, Evidence, IndexHealth, Issue, IssueKind, RootCause};

/// What a diagnosis may look at.
pub struct DiagnosisInput<'a> {
    pub issue: &'a Issue,
    /// The measurement that the issue was found in; None for issues of no index, or without page access.
    pub health: Option<&'a IndexHealth>,
    pub recall_target: f64,
    pub max_blind_share: f64,
}

/// A cause that one rule proposes.
struct Finding {
    cause: RootCause,
    /// 0 to 1.
    confidence: f64,
    explanation: String,
    evidence: Vec<Evidence>,
}

/// Asks every rule and keeps the finding with the highest confidence; inconclusive where none speaks.
pub fn diagnose(input: &DiagnosisInput<'_>) -> Diagnosis {
    let best = causes::ALL
        .iter()
        .filter_map(|rule| rule(input))
        .max_by(|a, b| a.confidence.total_cmp(&b.confidence))
        .unwrap_or_else(|| Finding {
            cause: RootCause::Inconclusive,
            confidence: 0.0,
            explanation: "no rule explains this with what was measured".to_owned(),
            evidence: Vec::new(),
        });
    Diagnosis {
        issue: input.issue.clone(),
        cause: best.cause,
        confidence: best.confidence,
        explanation: best.explanation,
        evidence: best.evidence,
        impact: impact(&input.issue.kind),
    }
}

/// What users notice of it, in a sentence.
fn impact(kind: &IssueKind) -> String {
    match kind {
        IssueKind::LowRecall { recall, k, .. } => {
            format!("a query for {k} neighbours misses {:.1} of them on average", (1.0 - recall) * f64::from(*k))
        }
        IssueKind::BlindSpots { blind_share, .. } if *blind_share > 0.0 => {
            format!("{:.1} % of the queries get (nearly) nothing right", blind_share * 100.0)
        }
        IssueKind::BlindSpots { unfindable, unfindable_of, .. } => {
            format!("{unfindable} of {unfindable_of} rows are not found by their own vector")
        }
        IssueKind::Fragmentation { level, .. } => format!("{:.0} % of the index is read for nothing", level * 100.0),
        IssueKind::OrphanNodes { count, .. } => format!("{count} rows are reached by no edge of the ground layer"),
        IssueKind::PoorConnectivity { score } => {
            format!("{:.1} % of the rows cannot be reached by any search", (1.0 - score) * 100.0)
        }
        IssueKind::UnbalancedClusters { .. } => "queries that hit the large lists are slow".to_owned(),
        IssueKind::StaleTraining { .. } => "the lists may no longer fit the rows".to_owned(),
        IssueKind::InvalidIndex { .. } => "queries do not use the index, writes still maintain it".to_owned(),
        IssueKind::LeftoverIndex { size_bytes, .. } => format!("{size_bytes} bytes are maintained for nothing"),
        IssueKind::PlannerIgnoresIndex { .. } => "queries scan the table".to_owned(),
        IssueKind::LongVacuum { dead_rows, .. } => format!("{dead_rows} dead rows use up search effort until vacuum"),
        IssueKind::KnownBug { .. } => "the index may be damaged by the next vacuum".to_owned(),
        IssueKind::Anomaly(_) | IssueKind::PerformanceDegradation(_) => "queries behave unlike before".to_owned(),
        IssueKind::LearningDrift(_) => "learned plans answer worse than they did".to_owned(),
        IssueKind::Bottleneck(_) => "one part of the plan bounds its throughput".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        CurvePoint, HnswHealth, IvfflatHealth, Measured, ProbeSource, SearchQuality, Severity, Structure, Unfindable,
    };

    fn search(curve: &[(u32, f64, f64)], in_force: u32, unfindable: u64) -> SearchQuality {
        let now = curve.iter().find(|p| p.0 == in_force).expect("the curve holds the value in force");
        SearchQuality {
            k: 10,
            probe_count: 1_000,
            probe_source: ProbeSource::SampledRows,
            parameter_in_force: Measured::Known(in_force),
            recall: Measured::Known(now.1),
            recall_p5: Measured::Known(now.1),
            share_below_half: Measured::Known(now.2),
            blind_share: Measured::Known(now.2),
            rows_returned_mean: Measured::Known(10.0),
            unfindable: Measured::Known(Unfindable { count: unfindable, of_sampled: 10_000 }),
            curve: Measured::Known(
                curve
                    .iter()
                    .map(|&(value, recall, blind_share)| CurvePoint {
                        value,
                        recall,
                        blind_share,
                        cost: f64::from(value) * 10.0,
                    })
                    .collect(),
            ),
        }
    }

    fn hnsw(search: SearchQuality, m: u32, deleted: u64) -> IndexHealth {
        IndexHealth {
            size_bytes: 1 << 20,
            search,
            structure: Structure::Hnsw(HnswHealth {
                m: Measured::Known(m),
                ef_construction: Measured::Known(64),
                dimensions: Measured::Known(384),
                elements_live: Measured::Known(10_000),
                elements_reachable: Measured::Known(10_000),
                elements_deleted: Measured::Known(deleted),
                elements_awaiting_vacuum: Measured::Known(0),
                orphan_count: Measured::Known(0),
                layer_distribution: Measured::Known(vec![9_000, 1_000]),
                entry_point: Measured::Known(None),
                entry_point_quality: Measured::Known(1.0),
                connectivity_score: Measured::Known(1.0),
                fragmentation: Measured::Known(0.0),
            }),
            notes: Vec::new(),
        }
    }

    fn ivfflat(search: SearchQuality, balance: f64, centroid_quality: f64) -> IndexHealth {
        IndexHealth {
            size_bytes: 1 << 20,
            search,
            structure: Structure::Ivfflat(IvfflatHealth {
                lists: Measured::Known(100),
                dimensions: Measured::Known(384),
                entries: Measured::Known(10_000),
                empty_clusters: Measured::Known(0),
                cluster_balance: Measured::Known(balance),
                centroid_quality: Measured::Known(centroid_quality),
                training_staleness_hours: Measured::unknown("not measured here"),
                fragmentation: Measured::Known(0.0),
            }),
            notes: Vec::new(),
        }
    }

    fn check(kind: IssueKind, health: Option<&IndexHealth>, expected: RootCause) {
        let issue = Issue { id: "x".to_owned(), severity: Severity::High, kind, index: None, evidence: Vec::new() };
        let diagnosis =
            diagnose(&DiagnosisInput { issue: &issue, health, recall_target: 0.95, max_blind_share: 0.005 });
        assert_eq!(diagnosis.cause, expected, "{}", diagnosis.explanation);
        assert!((0.0..=1.0).contains(&diagnosis.confidence));
        assert!(!diagnosis.impact.is_empty());
    }

    fn low_recall() -> IssueKind {
        IssueKind::LowRecall { recall: 0.9, p5: 0.4, target: 0.95, k: 10, parameter_in_force: 40 }
    }

    #[test]
    fn more_effort_would_do() {
        let health = hnsw(search(&[(40, 0.90, 0.0), (80, 0.96, 0.0)], 40, 0), 16, 0);
        check(low_recall(), Some(&health), RootCause::SearchEffortTooLow);
    }

    #[test]
    fn effort_does_not_enter_blind_groups() {
        let health = hnsw(search(&[(40, 0.93, 0.02), (400, 0.94, 0.018)], 40, 500), 16, 0);
        check(low_recall(), Some(&health), RootCause::GraphBlindSpots);
    }

    #[test]
    fn deleted_slots_speak_for_churn() {
        let health = hnsw(search(&[(40, 0.85, 0.03), (400, 0.93, 0.02)], 40, 500), 16, 6_000);
        check(low_recall(), Some(&health), RootCause::Churn);
    }

    #[test]
    fn a_small_m_without_blind_spots_is_capacity() {
        let health = hnsw(search(&[(40, 0.80, 0.0), (400, 0.93, 0.0)], 40, 0), 4, 0);
        check(low_recall(), Some(&health), RootCause::CapacityTooSmall);
    }

    #[test]
    fn lists_trained_on_other_rows() {
        let health = ivfflat(search(&[(1, 0.5, 0.1), (50, 0.96, 0.0)], 1, 0), 2.5, 0.4);
        check(low_recall(), Some(&health), RootCause::StaleCentroids);
    }

    #[test]
    fn absence_of_data_is_inconclusive() {
        check(low_recall(), None, RootCause::Inconclusive);
    }

    #[test]
    fn an_interrupted_build_needs_no_measurement() {
        check(IssueKind::InvalidIndex { reason: "not valid".to_owned() }, None, RootCause::InterruptedBuild);
    }
}
