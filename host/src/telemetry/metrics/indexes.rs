//! Each vector index as it was measured last.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::text::{Exposition, Figure, Kind::Gauge, unix_seconds};
use crate::daemon::api::{IndexView, TargetView};
use crate::model::Severity;

const VERDICTS: [&str; 4] = ["healthy", "degraded", "critical", "unknown"];

pub fn write(page: &mut Exposition, targets: &[Arc<TargetView>]) {
    let all = || targets.iter().flat_map(|target| target.indexes.iter().map(|index| (labels(target, index), index)));

    let mut family = page.family("pgheal_index_info", Gauge, "The access method of the index; always 1.");
    for (labels, index) in all() {
        family.sample(&[&labels[..], &[("method", index.method)]].concat(), 1.0);
    }
    let mut family = page.family(
        "pgheal_index_verdict",
        Gauge,
        "Whether the last measurement came to this verdict: healthy, degraded, critical or unknown.",
    );
    for (labels, index) in all() {
        family.states(&labels, "verdict", &VERDICTS, index.verdict);
    }
    let gauges: [Figure<IndexView, Option<f64>>; 6] = [
        ("pgheal_index_measured_timestamp_seconds", "When the index was measured last.", |index| {
            Some(unix_seconds(index.measured_at))
        }),
        ("pgheal_index_size_bytes", "The size of the index.", |index| Some(index.size_bytes as f64)),
        ("pgheal_index_recall_ratio", "Mean recall at 10 of the probe queries.", |index| index.recall_at_10),
        ("pgheal_index_recall_p5_ratio", "Recall that 95 % of the probe queries reach.", |index| index.recall_p5),
        ("pgheal_index_recall_target_ratio", "Recall at 10 that searches should reach.", |index| {
            Some(index.recall_target)
        }),
        ("pgheal_index_blind_ratio", "Share of the probe queries with a recall below 0.1.", |index| index.blind_share),
    ];
    for (name, help, value) in gauges {
        let mut family = page.family(name, Gauge, help);
        for (labels, index) in all() {
            family.sample_if(&labels, value(index));
        }
    }
    let mut family = page.family("pgheal_index_issues", Gauge, "Issues of the index, by kind and severity.");
    for (labels, index) in all() {
        let mut counts: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for issue in &index.issues {
            *counts.entry((issue.kind.name(), severity_name(issue.severity))).or_default() += 1;
        }
        for ((kind, severity), count) in counts {
            let labels = [&labels[..], &[("kind", kind), ("severity", severity)]].concat();
            family.sample(&labels, f64::from(count));
        }
    }
}

fn labels<'a>(target: &'a TargetView, index: &'a IndexView) -> [(&'static str, &'a str); 4] {
    [("target", &target.name), ("schema", &index.schema), ("table", &index.table), ("index", &index.name)]
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}
