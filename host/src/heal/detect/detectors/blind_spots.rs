use super::super::{Observed, Thresholds};
use super::{Finding, percent};
use crate::model::{Evidence, IssueKind, Severity, Unfindable};

/// Queries that get (nearly) nothing right, or elements that a search for their own vector does not find: damage
/// that a mean hides. Medium; High above four times a threshold, Critical above twenty times.
pub(super) fn detect(observed: &Observed<'_>, thresholds: &Thresholds) -> Option<Finding> {
    let search = &observed.health.search;
    let blind_share = search.blind_share.get();
    let unfindable = search.unfindable.get();
    let unfindable_share = unfindable.filter(|u| u.of_sampled > 0).map(|u| u.count as f64 / u.of_sampled as f64);
    let excess =
        excess(blind_share, thresholds.max_blind_share).max(excess(unfindable_share, thresholds.max_unfindable_share));
    if excess <= 1.0 {
        return None;
    }
    let Unfindable { count, of_sampled } = unfindable.unwrap_or(Unfindable { count: 0, of_sampled: 0 });
    let mut evidence = Vec::new();
    if let Some(share) = blind_share {
        evidence.push(Evidence::new("blind_share", format!("{} of {} queries", percent(share), search.probe_count)));
    }
    if let Some(share) = unfindable_share {
        evidence.push(Evidence::new("unfindable", format!("{count} of {of_sampled} elements ({})", percent(share))));
    }
    if let Some(share) = search.share_below_half.get() {
        evidence.push(Evidence::new("share_below_half", percent(share)));
    }
    Some(Finding {
        severity: match excess {
            e if e > 20.0 => Severity::Critical,
            e if e > 4.0 => Severity::High,
            _ => Severity::Medium,
        },
        // A blind share that was not measured did not contribute: the unfindable elements did.
        kind: IssueKind::BlindSpots {
            blind_share: blind_share.unwrap_or(0.0),
            unfindable: count,
            unfindable_of: of_sampled,
        },
        evidence,
    })
}

/// How many times the threshold a share is; 0 where it is unknown.
fn excess(share: Option<f64>, threshold: f64) -> f64 {
    match share {
        Some(share) if share > threshold => (share / threshold.max(f64::EPSILON)).max(1.0 + f64::EPSILON),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{hnsw_health, run};
    use super::*;
    use crate::model::Measured;

    fn check(blind: Measured<f64>, unfindable: Measured<(u64, u64)>, expected: Option<Severity>) {
        let mut health = hnsw_health();
        health.search.blind_share = blind;
        health.search.unfindable = unfindable.map(|(count, of_sampled)| Unfindable { count, of_sampled });
        assert_eq!(run(detect, &health).map(|f| f.severity), expected);
    }

    #[test]
    fn fires_on_either_share() {
        let no_pages = || Measured::unknown("no pages");
        check(Measured::Known(0.005), Measured::Known((100, 10_000)), None);
        check(Measured::Known(0.006), Measured::Known((0, 10_000)), Some(Severity::Medium));
        check(Measured::Known(0.0), Measured::Known((101, 10_000)), Some(Severity::Medium));
        check(Measured::Known(0.021), no_pages(), Some(Severity::High));
        check(Measured::unknown("no pages"), Measured::Known((2_500, 10_000)), Some(Severity::Critical));
        check(Measured::unknown("no pages"), Measured::unknown("no pages"), None);
        check(Measured::Known(0.0), Measured::Known((0, 0)), None);
    }
}
