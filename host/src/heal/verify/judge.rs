use crate::model::{IndexHealth, IssueKind, Structure};

/// Two measurements on the same probes differ by this much from inserts in between, not from a repair.
const NOISE: f64 = 0.002;

/// What the index has to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Targets {
    pub recall: f64,
    pub max_blind_share: f64,
    pub max_unfindable_share: f64,
}

/// Whether a repair helped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The problem is gone, or smaller, and nothing else got worse.
    Helped(String),
    /// It is not, or something else got worse: to be undone.
    DidNotHelp(String),
    /// It could not be measured; that is no proof of health, so it is undone as well.
    Unknown(String),
}

/// The rule of the gate: no harm to recall or blind spots, and the issue's own figure better than before.
pub fn judge(issue: &IssueKind, before: &IndexHealth, after: &IndexHealth, targets: &Targets) -> Verdict {
    if let Some(harm) = harm(before, after, targets) {
        return Verdict::DidNotHelp(harm);
    }
    match issue {
        IssueKind::LowRecall { .. } => recall(before, after, targets),
        IssueKind::BlindSpots { .. } => blind_spots(before, after, targets),
        IssueKind::Fragmentation { .. } => lower("fragmentation", hnsw_or_lists(before), hnsw_or_lists(after)),
        IssueKind::OrphanNodes { .. } => lower("orphan count", orphans(before), orphans(after)),
        IssueKind::PoorConnectivity { .. } => {
            lower("unreachable share", unreachable_share(before), unreachable_share(after))
        }
        IssueKind::UnbalancedClusters { .. } => lower("cluster balance", balance(before), balance(after)),
        IssueKind::StaleTraining { .. } => Verdict::Helped("the lists were trained anew, searches are no worse".into()),
        // Nothing could be measured of an invalid index before; that searches work now is the proof.
        IssueKind::InvalidIndex { .. } => match after.search.recall.get() {
            Some(recall) => Verdict::Helped(format!("the index answers, recall {recall:.4}")),
            None => unknown("recall after", after.search.recall.reason()),
        },
        other => Verdict::Unknown(format!("nothing measures whether {} is gone", other.name())),
    }
}

fn recall(before: &IndexHealth, after: &IndexHealth, targets: &Targets) -> Verdict {
    let Some(new) = after.search.recall.get() else {
        return unknown("recall after", after.search.recall.reason());
    };
    let Some(old) = before.search.recall.get() else {
        return unknown("recall before", before.search.recall.reason());
    };
    let text = format!("recall {old:.4} before, {new:.4} after, target {}", targets.recall);
    if new >= targets.recall || new > old + NOISE { Verdict::Helped(text) } else { Verdict::DidNotHelp(text) }
}

fn blind_spots(before: &IndexHealth, after: &IndexHealth, targets: &Targets) -> Verdict {
    let (Some(old), Some(new)) = (before.search.blind_share.get(), after.search.blind_share.get()) else {
        return unknown("blind share", after.search.blind_share.reason().or(before.search.blind_share.reason()));
    };
    let (old_missed, new_missed) = (unfindable_share(before), unfindable_share(after));
    let text = format!(
        "blind queries {:.2} % before, {:.2} % after; unfindable rows {} before, {} after",
        old * 100.0,
        new * 100.0,
        percent(old_missed),
        percent(new_missed)
    );
    let reached = new <= targets.max_blind_share && new_missed.is_some_and(|s| s <= targets.max_unfindable_share);
    let fewer = new < old || matches!((old_missed, new_missed), (Some(o), Some(n)) if n < o);
    if reached || fewer { Verdict::Helped(text) } else { Verdict::DidNotHelp(text) }
}

/// What got worse than the repair may cost, in words.
fn harm(before: &IndexHealth, after: &IndexHealth, targets: &Targets) -> Option<String> {
    if let (Some(old), Some(new)) = (before.search.recall.get(), after.search.recall.get())
        && new + NOISE < old
        && new < targets.recall
    {
        return Some(format!("recall fell from {old:.4} to {new:.4}"));
    }
    if let (Some(old), Some(new)) = (before.search.blind_share.get(), after.search.blind_share.get())
        && new > old + NOISE
        && new > targets.max_blind_share
    {
        return Some(format!("blind queries rose from {:.2} % to {:.2} %", old * 100.0, new * 100.0));
    }
    None
}

fn lower(what: &str, before: Option<f64>, after: Option<f64>) -> Verdict {
    match (before, after) {
        (Some(old), Some(new)) => {
            let text = format!("{what} {old:.4} before, {new:.4} after");
            if new < old { Verdict::Helped(text) } else { Verdict::DidNotHelp(text) }
        }
        _ => unknown(what, None),
    }
}

fn unknown(what: &str, reason: Option<&str>) -> Verdict {
    Verdict::Unknown(format!("{what} is unknown: {}", reason.unwrap_or("it was not measured")))
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "unknown".to_owned(), |s| format!("{:.2} %", s * 100.0))
}

fn unfindable_share(health: &IndexHealth) -> Option<f64> {
    let u = health.search.unfindable.get()?;
    (u.of_sampled > 0).then(|| u.count as f64 / u.of_sampled as f64)
}

fn hnsw_or_lists(health: &IndexHealth) -> Option<f64> {
    match &health.structure {
        Structure::Hnsw(h) => h.fragmentation.get(),
        Structure::Ivfflat(h) => h.fragmentation.get(),
    }
}

fn orphans(health: &IndexHealth) -> Option<f64> {
    match &health.structure {
        Structure::Hnsw(h) => h.orphan_count.get().map(|n| n as f64),
        Structure::Ivfflat(_) => None,
    }
}

fn unreachable_share(health: &IndexHealth) -> Option<f64> {
    match &health.structure {
        Structure::Hnsw(h) => h.connectivity_score.get().map(|score| 1.0 - score),
        Structure::Ivfflat(_) => None,
    }
}

fn balance(health: &IndexHealth) -> Option<f64> {
    match &health.structure {
        Structure::Ivfflat(h) => h.cluster_balance.get(),
        Structure::Hnsw(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{IvfflatHealth, Measured, ProbeSource, SearchQuality, Unfindable};

    const TARGETS: Targets = Targets { recall: 0.95, max_blind_share: 0.005, max_unfindable_share: 0.01 };

    fn health(recall: Option<f64>, blind: f64, unfindable: u64, balance: f64) -> IndexHealth {
        let missing = || "not measured here".to_owned();
        IndexHealth {
            size_bytes: 1,
            search: SearchQuality {
                k: 10,
                probe_count: 1_000,
                probe_source: ProbeSource::SampledRows,
                parameter_in_force: Measured::Known(40),
                recall: recall.map_or_else(|| Measured::Unknown(missing()), Measured::Known),
                recall_p5: Measured::Unknown(missing()),
                share_below_half: Measured::Unknown(missing()),
                blind_share: Measured::Known(blind),
                rows_returned_mean: Measured::Known(10.0),
                unfindable: Measured::Known(Unfindable { count: unfindable, of_sampled: 1_000 }),
                curve: Measured::Unknown(missing()),
            },
            structure: Structure::Ivfflat(IvfflatHealth {
                lists: Measured::Known(10),
                dimensions: Measured::Known(3),
                entries: Measured::Known(1_000),
                empty_clusters: Measured::Known(0),
                cluster_balance: Measured::Known(balance),
                centroid_quality: Measured::Unknown(missing()),
                training_staleness_hours: Measured::Unknown(missing()),
                fragmentation: Measured::Known(0.1),
            }),
            notes: Vec::new(),
        }
    }

    fn low_recall() -> IssueKind {
        IssueKind::LowRecall { recall: 0.9, p5: 0.5, target: 0.95, k: 10, parameter_in_force: 40 }
    }

    fn blind() -> IssueKind {
        IssueKind::BlindSpots { blind_share: 0.01, unfindable: 50, unfindable_of: 1_000 }
    }

    #[track_caller]
    fn check(issue: IssueKind, before: IndexHealth, after: IndexHealth, expected: &str) {
        let verdict = judge(&issue, &before, &after, &TARGETS);
        let name = match &verdict {
            Verdict::Helped(_) => "helped",
            Verdict::DidNotHelp(_) => "did not help",
            Verdict::Unknown(_) => "unknown",
        };
        assert_eq!(name, expected, "{verdict:?}");
    }

    #[test]
    fn a_gain_helps_and_noise_does_not() {
        check(low_recall(), health(Some(0.90), 0.0, 0, 1.0), health(Some(0.97), 0.0, 0, 1.0), "helped");
        check(low_recall(), health(Some(0.90), 0.0, 0, 1.0), health(Some(0.92), 0.0, 0, 1.0), "helped");
        check(low_recall(), health(Some(0.90), 0.0, 0, 1.0), health(Some(0.901), 0.0, 0, 1.0), "did not help");
    }

    #[test]
    fn more_blind_queries_spoil_a_better_mean() {
        check(low_recall(), health(Some(0.90), 0.0, 0, 1.0), health(Some(0.96), 0.02, 0, 1.0), "did not help");
    }

    #[test]
    fn a_failed_measurement_is_no_proof() {
        check(low_recall(), health(Some(0.90), 0.0, 0, 1.0), health(None, 0.0, 0, 1.0), "unknown");
    }

    #[test]
    fn blind_spots_count_queries_and_rows() {
        check(blind(), health(Some(0.96), 0.01, 50, 1.0), health(Some(0.99), 0.0, 1, 1.0), "helped");
        check(blind(), health(Some(0.96), 0.01, 50, 1.0), health(Some(0.96), 0.01, 50, 1.0), "did not help");
    }

    #[test]
    fn balance_must_fall_without_harm_to_recall() {
        let issue = || IssueKind::UnbalancedClusters { balance: 3.0, empty_clusters: 0, lists: 10 };
        check(issue(), health(Some(0.96), 0.0, 0, 3.0), health(Some(0.97), 0.0, 0, 0.8), "helped");
        check(issue(), health(Some(0.96), 0.0, 0, 3.0), health(Some(0.80), 0.0, 0, 0.8), "did not help");
    }
}
