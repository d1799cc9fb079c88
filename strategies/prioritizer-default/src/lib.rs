//! The specification's order of urgency, 0 to 100, and its extension to measured recall.

use pgheal_guest_sdk::*;

struct PrioritizerDefault;

impl Prioritizer for PrioritizerDefault {
    fn name() -> String {
        "prioritizer_default".to_owned()
    }

    fn compute_priority(issue: &Issue) -> f64 {
        priority(issue)
    }

    fn reason(issue: &Issue) -> String {
        reason(issue)
    }
}

export_prioritizer!(PrioritizerDefault);

/// Lost recall and blind queries are what users notice, so they come before ordinary index issues (50) and end
/// just below a critical anomaly (100).
const LOST_RESULTS_LEAST: f64 = 55.0;
const LOST_RESULTS_MOST: f64 = 99.0;
/// Half of the wanted recall missing is as bad as it gets.
const WORST_RECALL_LOSS: f64 = 0.5;
/// One query in five that gets nothing right is as bad as it gets.
const WORST_BLIND_SHARE: f64 = 0.2;
const OTHER_INDEX_ISSUE: f64 = 50.0;
const MOST_FOR_ORPHANS: u64 = 90;

fn priority(issue: &Issue) -> f64 {
    let score = match &issue.kind {
        IssueKind::Anomaly(_) | IssueKind::PerformanceDegradation(_) => match issue.severity {
            Severity::Critical => 100.0,
            Severity::High => 80.0,
            Severity::Medium => 50.0,
            Severity::Low => 20.0,
        },
        IssueKind::Fragmentation(fragmentation) => fragmentation.level * 100.0,
        IssueKind::OrphanNodes(orphans) => orphans.count.min(MOST_FOR_ORPHANS) as f64,
        IssueKind::LowRecall(low) => lost_results(recall_loss(low), WORST_RECALL_LOSS),
        IssueKind::BlindSpots(blind) => lost_results(blind_share(blind), WORST_BLIND_SHARE),
        IssueKind::PoorConnectivity(_)
        | IssueKind::UnbalancedClusters(_)
        | IssueKind::StaleTraining(_)
        | IssueKind::InvalidIndex(_)
        | IssueKind::LeftoverIndex(_)
        | IssueKind::PlannerIgnoresIndex(_)
        | IssueKind::LongVacuum(_)
        | IssueKind::KnownBug(_) => OTHER_INDEX_ISSUE,
        IssueKind::LearningDrift(_) => match issue.severity {
            Severity::Critical | Severity::High => 70.0,
            Severity::Medium => 40.0,
            Severity::Low => 20.0,
        },
        IssueKind::Bottleneck(bottleneck) => match bottleneck.alert {
            AlertSeverity::Critical => 90.0,
            AlertSeverity::Warning => 60.0,
            AlertSeverity::Info => 30.0,
        },
    };
    if score.is_nan() { 0.0 } else { score.clamp(0.0, 100.0) }
}

/// 55 at no loss, 99 from `worst` on, straight in between.
fn lost_results(loss: f64, worst: f64) -> f64 {
    LOST_RESULTS_LEAST + (LOST_RESULTS_MOST - LOST_RESULTS_LEAST) * (loss / worst).clamp(0.0, 1.0)
}

/// The missing part of the wanted recall, 0 to 1.
fn recall_loss(low: &LowRecall) -> f64 {
    if low.target > 0.0 { (low.target - low.recall) / low.target } else { 0.0 }
}

/// Blind queries, or elements that cannot be found, whichever is the larger share.
fn blind_share(blind: &BlindSpots) -> f64 {
    let unfindable = if blind.unfindable_of > 0 { blind.unfindable as f64 / blind.unfindable_of as f64 } else { 0.0 };
    blind.blind_share.max(unfindable)
}

fn reason(issue: &Issue) -> String {
    match &issue.kind {
        IssueKind::Anomaly(anomaly) => {
            format!(
                "anomaly of {} severity: {} where {} was expected",
                severity(issue),
                anomaly.observed,
                anomaly.expected
            )
        }
        IssueKind::PerformanceDegradation(loss) => {
            format!("{} is {:.0} % worse than its baseline", loss.metric, loss.share * 100.0)
        }
        IssueKind::Fragmentation(fragmentation) => {
            format!("{:.0} % of the index is deleted or free", fragmentation.level * 100.0)
        }
        IssueKind::OrphanNodes(orphans) => {
            format!("{} of {} elements have no incoming edge", orphans.count, orphans.elements_live)
        }
        IssueKind::PoorConnectivity(poor) => {
            format!("a search reaches only {:.1} % of the elements", poor.score * 100.0)
        }
        IssueKind::UnbalancedClusters(clusters) => format!(
            "list sizes deviate by {:.2} times their mean, {} of {} lists are empty",
            clusters.balance, clusters.empty_clusters, clusters.lists
        ),
        IssueKind::StaleTraining(stale) => format!("the lists were trained {:.0} hours ago", stale.hours),
        IssueKind::LowRecall(low) => {
            format!("recall@{} is {:.4}, {:.4} is wanted", low.k, low.recall, low.target)
        }
        IssueKind::BlindSpots(blind) => format!(
            "{:.2} % of the queries get nothing right, {} of {} elements cannot be found",
            blind.blind_share * 100.0,
            blind.unfindable,
            blind.unfindable_of
        ),
        IssueKind::InvalidIndex(invalid) => format!("the index is invalid: {}", invalid.reason),
        IssueKind::LeftoverIndex(leftover) => {
            format!("a leftover index of {} bytes: {}", leftover.size_bytes, leftover.reason)
        }
        IssueKind::PlannerIgnoresIndex(ignored) => format!("the planner ignores the index: {}", ignored.reason),
        IssueKind::LongVacuum(vacuum) => format!("a vacuum of {} dead rows is due", vacuum.dead_rows),
        IssueKind::KnownBug(bug) => format!("pgvector {}: {}", bug.pgvector_version, bug.advice),
        IssueKind::LearningDrift(drift) => {
            format!("learning drift of {} severity in {}", severity(issue), drift.engine)
        }
        IssueKind::Bottleneck(bottleneck) => {
            format!("a bottleneck of {:.0} rows/ms at {}", bottleneck.capacity, bottleneck.operators.join(", "))
        }
    }
}

fn severity(issue: &Issue) -> &'static str {
    match issue.severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(id: &str, severity: Severity, kind: IssueKind) -> Issue {
        Issue { id: id.to_owned(), severity, kind, index: None }
    }

    fn check(severity: Severity, kind: IssueKind, expected: f64) {
        let found = priority(&issue("i", severity, kind));
        assert!((found - expected).abs() < 1e-9, "{found}, expected {expected}");
    }

    fn anomaly() -> IssueKind {
        IssueKind::Anomaly(Anomaly {
            kind: AnomalyType::LatencySpike,
            observed: 9.0,
            expected: 1.0,
            deviation: Some(5.0),
        })
    }

    fn orphans(count: u64) -> IssueKind {
        IssueKind::OrphanNodes(OrphanNodes { count, elements_live: 1_000 })
    }

    fn low_recall(recall: f64) -> IssueKind {
        IssueKind::LowRecall(LowRecall { recall, p5: 0.2, target: 0.95, k: 10, parameter_in_force: 40 })
    }

    fn blind(blind_share: f64, unfindable: u64) -> IssueKind {
        IssueKind::BlindSpots(BlindSpots { blind_share, unfindable, unfindable_of: 1_000 })
    }

    fn bottleneck(alert: AlertSeverity) -> IssueKind {
        IssueKind::Bottleneck(Bottleneck { alert, plan_fingerprint: "f".into(), operators: vec![], capacity: 1.0 })
    }

    fn drift() -> IssueKind {
        IssueKind::LearningDrift(LearningDrift {
            engine: "e".into(),
            kind: DriftType::TaskExplosion,
            trend_value: 21.0,
            recommendation: DriftRecommendation::ConsolidateTasks,
        })
    }

    #[test]
    fn scores_are_the_specifications() {
        check(Severity::Critical, anomaly(), 100.0);
        check(Severity::High, anomaly(), 80.0);
        check(Severity::Medium, anomaly(), 50.0);
        check(Severity::Low, anomaly(), 20.0);
        check(Severity::Low, IssueKind::Fragmentation(Fragmentation { level: 0.62, elements_deleted: 9 }), 62.0);
        check(Severity::Low, orphans(12), 12.0);
        check(Severity::Low, orphans(5_000), 90.0);
        check(Severity::Low, IssueKind::StaleTraining(StaleTraining { hours: 200.0 }), 50.0);
        check(Severity::High, drift(), 70.0);
        check(Severity::Medium, drift(), 40.0);
        check(Severity::Low, drift(), 20.0);
        check(Severity::Low, bottleneck(AlertSeverity::Critical), 90.0);
        check(Severity::Low, bottleneck(AlertSeverity::Warning), 60.0);
        check(Severity::Low, bottleneck(AlertSeverity::Info), 30.0);
    }

    #[test]
    fn lost_results_rise_with_the_loss_within_their_bounds() {
        check(Severity::High, low_recall(0.95), 55.0);
        check(Severity::High, low_recall(0.475), 99.0);
        check(Severity::High, low_recall(0.0), 99.0);
        check(Severity::High, low_recall(0.7125), 77.0);
        check(Severity::High, blind(0.0, 0), 55.0);
        check(Severity::High, blind(0.1, 0), 77.0);
        check(Severity::High, blind(0.01, 100), 77.0);
        check(Severity::High, blind(1.0, 0), 99.0);
    }

    #[test]
    fn nonsense_does_not_break_the_order() {
        check(Severity::Low, IssueKind::Fragmentation(Fragmentation { level: f64::NAN, elements_deleted: 0 }), 0.0);
        check(Severity::Low, IssueKind::Fragmentation(Fragmentation { level: 7.0, elements_deleted: 0 }), 100.0);
        check(Severity::High, low_recall(f64::NAN), 0.0);
    }

    #[test]
    fn equals_are_ordered_by_severity_then_confidence_then_id() {
        let diagnosis = |id: &str, severity, confidence| Diagnosis {
            issue: issue(id, severity, orphans(50)),
            cause: RootCause::Churn,
            confidence,
            explanation: String::new(),
        };
        let list = [
            diagnosis("c", Severity::Low, 0.9),
            diagnosis("b", Severity::High, 0.2),
            diagnosis("d", Severity::High, 0.8),
            diagnosis("a", Severity::Low, 0.9),
        ];
        let order: Vec<u32> = PrioritizerDefault::prioritize(&list).iter().map(|r| r.position).collect();
        assert_eq!(order, [2, 1, 3, 0]);
    }
}
