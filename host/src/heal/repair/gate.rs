use crate::model::{IndexHealth, Measured};

/// Recall differences below this are noise between two builds measured on the same probes.
const RECALL_NOISE: f64 = 0.002;
/// The smallest gain of recall that is worth an index swap, where the target is not reached.
const REAL_GAIN: f64 = 0.005;
/// Differences of the shares of blind queries and unfindable elements below this are noise.
const SHARE_NOISE: f64 = 0.001;
/// How much slower the new index may be, where the old one was good enough.
const MAX_SLOWDOWN: f64 = 1.25;

/// What the gate looks at, of one index.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    pub recall: Measured<f64>,
    pub blind_share: Measured<f64>,
    /// Unfindable elements over those looked at.
    pub unfindable_share: Measured<f64>,
    /// Mean of real scans in ms, where they could be measured apart.
    pub latency_ms: Option<f64>,
    pub size_bytes: u64,
}

impl Figures {
    pub fn new(health: &IndexHealth, latency_ms: Option<f64>) -> Self {
        Figures {
            recall: health.search.recall.clone(),
            blind_share: health.search.blind_share.clone(),
            unfindable_share: health.search.unfindable.clone().map(|u| match u.of_sampled {
                0 => 0.0,
                sampled => u.count as f64 / sampled as f64,
            }),
            latency_ms,
            size_bytes: health.size_bytes,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateVerdict {
    pub passed: bool,
    /// What was measured and, where it did not pass, every condition that failed.
    pub reason: String,
}

/// Whether the new index may replace the old one: its recall is not lower, it reaches the target or gains for
/// real, no more queries are blind and no more elements unfindable, and it is not slower than 1.25 times the old
/// one unless that was below the target. What is unknown does not pass.
pub fn judge(old: &Figures, new: &Figures, recall_target: f64, max_blind_share: f64) -> GateVerdict {
    let mut faults = Vec::new();
    let (Some(recall_old), Some(recall_new)) = (old.recall.get(), new.recall.get()) else {
        let unknown = [("old", &old.recall), ("new", &new.recall)];
        let reasons: Vec<String> =
            unknown.iter().filter_map(|(side, r)| Some(format!("{side}: {}", r.reason()?))).collect();
        return GateVerdict { passed: false, reason: format!("the recall is unknown ({})", reasons.join("; ")) };
    };
    if recall_new < recall_old - RECALL_NOISE {
        faults.push("recall is lower".to_owned());
    }
    let blind = old.blind_share.get().zip(new.blind_share.get());
    let unfindable = old.unfindable_share.get().zip(new.unfindable_share.get());
    let fewer_blind = blind.is_some_and(|(old, new)| old - new > SHARE_NOISE);
    let reaches = recall_new >= recall_target && new.blind_share.get().is_none_or(|share| share <= max_blind_share);
    if !reaches && recall_new - recall_old < REAL_GAIN && !fewer_blind {
        faults.push(format!(
            "it neither reaches recall {recall_target} with at most {max_blind_share} blind queries nor gains {REAL_GAIN}"
        ));
    }
    if let Some((old, new)) = blind
        && new > old + SHARE_NOISE
    {
        faults.push("more queries are blind".to_owned());
    }
    if let Some((old, new)) = unfindable
        && new > old + SHARE_NOISE
    {
        faults.push("more elements are unfindable".to_owned());
    }
    let old_was_good =
        recall_old >= recall_target && old.blind_share.get().is_none_or(|share| share <= max_blind_share);
    if let Some((old, new)) = old.latency_ms.zip(new.latency_ms)
        && new > old * MAX_SLOWDOWN
        && old_was_good
    {
        faults.push(format!("real scans are more than {MAX_SLOWDOWN} times slower"));
    }
    let figures = describe(old, new);
    match faults.is_empty() {
        true => GateVerdict { passed: true, reason: figures },
        false => GateVerdict { passed: false, reason: format!("{} ({figures})", faults.join("; ")) },
    }
}

/// Whether the new index may replace one that is invalid. That one serves no query, so there is nothing to compare
/// with: it is enough that the new one answers, which its measured recall shows.
pub fn judge_beside_invalid(new: &Figures) -> GateVerdict {
    match new.recall.get() {
        Some(recall) => GateVerdict {
            passed: true,
            reason: format!(
                "the index is invalid and serves nothing; the new one has recall {recall:.4}, size {} bytes",
                new.size_bytes
            ),
        },
        None => GateVerdict {
            passed: false,
            reason: format!("the recall is unknown (new: {})", new.recall.reason().unwrap_or_default()),
        },
    }
}

fn describe(old: &Figures, new: &Figures) -> String {
    let mut parts = Vec::new();
    let mut share = |name: &str, old: &Measured<f64>, new: &Measured<f64>| {
        if let Some((old, new)) = old.get().zip(new.get()) {
            parts.push(format!("{name} {old:.4} -> {new:.4}"));
        }
    };
    share("recall", &old.recall, &new.recall);
    share("blind", &old.blind_share, &new.blind_share);
    share("unfindable", &old.unfindable_share, &new.unfindable_share);
    if let Some((old, new)) = old.latency_ms.zip(new.latency_ms) {
        parts.push(format!("mean latency {old:.2} -> {new:.2} ms"));
    }
    parts.push(format!("size {} -> {} bytes", old.size_bytes, new.size_bytes));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(recall: f64, blind: f64, unfindable: f64, latency_ms: f64) -> Figures {
        Figures {
            recall: Measured::Known(recall),
            blind_share: Measured::Known(blind),
            unfindable_share: Measured::Known(unfindable),
            latency_ms: Some(latency_ms),
            size_bytes: 8192,
        }
    }

    fn check(old: Figures, new: Figures, expected: Result<(), &str>) {
        let verdict = judge(&old, &new, 0.95, 0.005);
        assert_eq!(verdict.passed, expected.is_ok(), "{}", verdict.reason);
        if let Err(reason) = expected {
            assert!(verdict.reason.contains(reason), "{:?} lacks {reason:?}", verdict.reason);
        }
    }

    #[test]
    fn a_better_index_passes() {
        check(figures(0.90, 0.02, 0.05, 1.0), figures(0.97, 0.0, 0.0, 1.0), Ok(()));
        // Slower is allowed where the old one was not good enough.
        check(figures(0.90, 0.02, 0.05, 1.0), figures(0.97, 0.0, 0.0, 2.0), Ok(()));
        // Below the target still, but a gain.
        check(figures(0.80, 0.05, 0.05, 1.0), figures(0.90, 0.04, 0.04, 1.0), Ok(()));
        check(figures(0.94, 0.05, 0.05, 1.0), figures(0.94, 0.01, 0.02, 1.0), Ok(()));
    }

    #[test]
    fn what_answers_passes_beside_an_invalid_index() {
        let verdict = judge_beside_invalid(&figures(0.91, 0.02, 0.05, 1.0));
        assert!(verdict.passed && verdict.reason.contains("recall 0.9100"), "{}", verdict.reason);
        let unknown = Figures { recall: Measured::unknown("no pages"), ..figures(0.91, 0.0, 0.0, 1.0) };
        let verdict = judge_beside_invalid(&unknown);
        assert!(!verdict.passed && verdict.reason.contains("no pages"), "{}", verdict.reason);
    }

    #[test]
    fn a_worse_index_does_not_pass() {
        check(figures(0.97, 0.0, 0.0, 1.0), figures(0.95, 0.0, 0.0, 1.0), Err("recall is lower"));
        check(figures(0.97, 0.0, 0.0, 1.0), figures(0.98, 0.004, 0.0, 1.0), Err("more queries are blind"));
        check(figures(0.97, 0.0, 0.0, 1.0), figures(0.98, 0.0, 0.01, 1.0), Err("unfindable"));
        check(figures(0.97, 0.0, 0.0, 1.0), figures(0.98, 0.0, 0.0, 1.3), Err("slower"));
        check(figures(0.90, 0.02, 0.0, 1.0), figures(0.902, 0.02, 0.0, 1.0), Err("neither reaches"));
    }

    #[test]
    fn an_unknown_recall_does_not_pass() {
        let mut unknown = figures(0.9, 0.0, 0.0, 1.0);
        unknown.recall = Measured::unknown("no page access");
        check(figures(0.9, 0.0, 0.0, 1.0), unknown.clone(), Err("new: no page access"));
        check(unknown, figures(0.99, 0.0, 0.0, 1.0), Err("old: no page access"));
    }
}
