//! What `/metrics` tells. Each file has the metrics of one concern; `docs/METRICS.md` explains them all.

mod healing;
mod indexes;
mod policies;
mod process;
mod targets;
mod text;

use std::sync::Arc;

use crate::daemon::api::{Engine, TargetState, TargetView};

pub use text::Exposition;

/// The page for a scraper.
pub fn page(engine: &dyn Engine) -> String {
    let mut page = Exposition::default();
    let targets = engine.targets();
    page.family("pgheal_build_info", text::Kind::Gauge, "The version of pgheal; always 1.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    targets::write(&mut page, &targets);
    let healed: Vec<Arc<TargetView>> = targets.into_iter().filter(|target| is_known(target)).collect();
    healing::write(&mut page, &healed);
    indexes::write(&mut page, &healed);
    policies::write(&mut page, &engine.policies());
    process::write(&mut page);
    page.into_text()
}

/// Whether this daemon knows how the healing goes there. One that stands by knows nothing of it, and one that has not
/// yet read the counters would let them seem to start at 0.
fn is_known(target: &TargetView) -> bool {
    match target.state {
        TargetState::Leading => true,
        TargetState::Standby => false,
        TargetState::Connecting | TargetState::Failed { .. } => target.metrics.checks_performed > 0,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::HealingMetrics;
    use crate::telemetry::played::{Played, target};

    /// The names of all metrics on the page.
    fn names(page: &str) -> BTreeSet<String> {
        let typed = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        typed.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    }

    fn has(page: &str, line: &str) {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }

    #[test]
    fn everything_known_is_told() {
        let page = page(&Played::with_everything());
        has(&page, "pgheal_target_state{target=\"shop\",state=\"leading\"} 1");
        has(&page, "pgheal_target_state{target=\"spare\",state=\"standby\"} 1");
        has(&page, "pgheal_checks_performed_total{target=\"shop\"} 42");
        has(&page, "pgheal_repair_time_seconds_total{target=\"shop\"} 61.5");
        has(&page, "pgheal_repair_success_ratio{target=\"shop\"} 0.8");
        has(&page, "pgheal_last_cycle_duration_seconds{target=\"shop\"} 1.25");
        has(&page, "pgheal_last_cycle_failed_checks{target=\"shop\"} 1");
        let index = "target=\"shop\",schema=\"app\",table=\"docs\",index=\"docs_idx\"";
        has(&page, &format!("pgheal_index_recall_ratio{{{index}}} 0.91"));
        has(&page, &format!("pgheal_index_recall_p5_ratio{{{index}}} 0.4"));
        has(&page, &format!("pgheal_index_blind_ratio{{{index}}} 0.02"));
        has(&page, &format!("pgheal_index_recall_target_ratio{{{index}}} 0.95"));
        has(&page, &format!("pgheal_index_size_bytes{{{index}}} 8192"));
        has(&page, &format!("pgheal_index_verdict{{{index},verdict=\"critical\"}} 1"));
        has(&page, &format!("pgheal_index_issues{{{index},kind=\"low_recall\",severity=\"high\"}} 2"));
        has(&page, "pgheal_active_repairs{target=\"shop\"} 1");
        has(&page, "pgheal_policy_calls_total{policy=\"index_rebalance\",kind=\"strategy\"} 17");
        has(&page, "pgheal_policy_failed_calls_total{policy=\"index_rebalance\",kind=\"strategy\",outcome=\"trap\"} 2");
        has(&page, "pgheal_policy_state{policy=\"index_rebalance\",kind=\"strategy\",state=\"active\"} 1");
        has(&page, "pgheal_policy_load_failures 0");
    }

    #[test]
    fn what_is_unknown_is_not_told() {
        let page = page(&Played::with_everything());
        let unknown = "index=\"unmeasured_idx\"";
        let told: Vec<&str> = page.lines().filter(|line| line.contains(unknown)).collect();
        assert!(told.iter().any(|line| line.starts_with("pgheal_index_verdict{")), "{told:#?}");
        assert!(!told.iter().any(|line| line.contains("_recall_ratio") || line.contains("_blind_")), "{told:#?}");
        let spare = page.lines().filter(|line| line.contains("target=\"spare\""));
        let spare: BTreeSet<&str> = spare.filter_map(|line| line.split('{').next()).collect();
        let expected =
            ["pgheal_target_auto_heal_enabled", "pgheal_target_state", "pgheal_target_state_since_timestamp_seconds"];
        assert_eq!(spare, BTreeSet::from(expected));
    }

    #[test]
    fn counters_do_not_begin_before_they_are_read() {
        let check = |state: TargetState, checks_performed: u64, expected: bool| {
            let mut view = target("shop", state);
            view.metrics = HealingMetrics { checks_performed, ..HealingMetrics::default() };
            assert_eq!(is_known(&view), expected, "{:?} {checks_performed}", view.state);
        };
        let failed = || TargetState::Failed { reason: "refused".to_owned() };
        check(TargetState::Leading, 0, true);
        check(TargetState::Connecting, 0, false);
        check(TargetState::Connecting, 7, true);
        check(failed(), 0, false);
        check(failed(), 7, true);
        check(TargetState::Standby, 7, false);
    }

    /// The page, its documentation, the dashboard and the rules name the same metrics.
    #[test]
    fn the_documents_name_what_there_is() {
        // What the kernel tells of a process differs from machine to machine.
        let ours = |name: &String| name.starts_with("pgheal_");
        let told: BTreeSet<String> = names(&page(&Played::with_everything())).into_iter().filter(ours).collect();
        let documented: BTreeSet<String> = include_str!("../../../../docs/METRICS.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split(['`', '{']).next())
            .map(str::to_owned)
            .filter(ours)
            .collect();
        assert_eq!(told, documented, "docs/METRICS.md");
        for (file, text) in [
            ("the dashboard", include_str!("../../../../docs/grafana/pgheal.json")),
            ("the rules", include_str!("../../../../packaging/prometheus/pgheal.rules.yml")),
        ] {
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let used: BTreeSet<String> = words.filter(|w| w.starts_with("pgheal_")).map(str::to_owned).collect();
            let unknown: Vec<&String> = used.difference(&told).collect();
            assert!(!used.is_empty() && unknown.is_empty(), "{file}: {unknown:?}");
        }
    }

    /// What `promtool check metrics` would complain of, for machines that do not have it.
    #[test]
    fn names_follow_the_conventions() {
        let page = page(&Played::with_everything());
        for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
            let bad = ["_ms", "_milliseconds", "_minutes", "_hours", "_percent", "_kilobytes", "_mb", "_count", "_sum"];
            assert!(!bad.iter().any(|suffix| name.ends_with(suffix)), "{name}");
        }
        for help in page.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
            assert!(help.ends_with('.') && help.contains(' '), "{help}");
        }
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        let keys: Vec<&str> = samples.map(|line| line.rsplit_once(' ').unwrap().0).collect();
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "a sample is there twice");
    }
}
