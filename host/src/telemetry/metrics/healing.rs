//! What the healing loop did: the counters that it keeps in the database, its last cycle, and what it is at.

use std::sync::Arc;

use super::text::{
    Exposition, Figure,
    Kind::{Counter, Gauge},
    unix_seconds,
};
use crate::daemon::api::{CycleView, TargetView};
use crate::model::HealingMetrics;

const MS_PER_SECOND: f64 = 1_000.0;

pub fn write(page: &mut Exposition, targets: &[Arc<TargetView>]) {
    counters(page, targets);
    last_cycle(page, targets);
    active_repairs(page, targets);
}

fn counters(page: &mut Exposition, targets: &[Arc<TargetView>]) {
    let counters: [Figure<HealingMetrics, f64>; 7] = [
        ("pgheal_checks_performed_total", "Check cycles.", |m| m.checks_performed as f64),
        ("pgheal_issues_detected_total", "Issues found, counted anew in every cycle.", |m| m.issues_detected as f64),
        ("pgheal_repairs_initiated_total", "Repairs begun.", |m| m.repairs_initiated as f64),
        ("pgheal_repairs_successful_total", "Repairs that healed their issue.", |m| m.repairs_successful as f64),
        ("pgheal_repairs_failed_total", "Repairs that did not.", |m| m.repairs_failed as f64),
        ("pgheal_repairs_rolled_back_total", "Tries of a strategy that were undone.", |m| m.repairs_rolled_back as f64),
        ("pgheal_repair_time_seconds_total", "Time spent in repairs that have ended.", |m| {
            m.total_repair_time_ms as f64 / MS_PER_SECOND
        }),
    ];
    for (name, help, value) in counters {
        let mut family = page.family(name, Counter, help);
        for target in targets {
            family.sample(&[("target", &target.name)], value(&target.metrics));
        }
    }
    let mut family = page.family(
        "pgheal_repair_success_ratio",
        Gauge,
        "Successful over initiated repairs; 1 where none was initiated.",
    );
    for target in targets {
        family.sample(&[("target", &target.name)], target.metrics.success_rate());
    }
    let mut family = page.family(
        "pgheal_last_check_timestamp_seconds",
        Gauge,
        "The end of the last check cycle, by whichever daemon led then.",
    );
    for target in targets.iter().filter(|target| target.metrics.last_check_time > 0) {
        family.sample(&[("target", &target.name)], target.metrics.last_check_time as f64 / MS_PER_SECOND);
    }
}

fn last_cycle(page: &mut Exposition, targets: &[Arc<TargetView>]) {
    let gauges: [Figure<CycleView, f64>; 5] = [
        ("pgheal_last_cycle_end_timestamp_seconds", "The end of this daemon's last cycle that succeeded.", |cycle| {
            unix_seconds(cycle.ended_at)
        }),
        ("pgheal_last_cycle_duration_seconds", "How long that cycle took.", |cycle| cycle.duration.as_secs_f64()),
        ("pgheal_last_cycle_issues", "Issues that it found.", |cycle| cycle.detected_issues as f64),
        ("pgheal_last_cycle_repairs_initiated", "Repairs that it began.", |cycle| cycle.repairs_initiated as f64),
        ("pgheal_last_cycle_failed_checks", "Indexes that it could not measure.", |cycle| {
            cycle.failed_checks.len() as f64
        }),
    ];
    for (name, help, value) in gauges {
        let mut family = page.family(name, Gauge, help);
        for target in targets {
            family.sample_if(&[("target", &target.name)], target.last_cycle.as_ref().map(value));
        }
    }
}

fn active_repairs(page: &mut Exposition, targets: &[Arc<TargetView>]) {
    let mut family = page.family("pgheal_active_repairs", Gauge, "Repairs that are running.");
    for target in targets {
        family.sample(&[("target", &target.name)], target.active_repairs.len() as f64);
    }
    let mut family = page.family("pgheal_active_repair_start_timestamp_seconds", Gauge, "When a running repair began.");
    for target in targets {
        for repair in &target.active_repairs {
            family.sample(&[("target", &target.name), ("index", &repair.index)], unix_seconds(repair.started_at));
        }
    }
}
