use pgheal_guest_sdk::*;

use crate::goal::{Goal, unfindable_share};

/// More rounds than this never helped.
const MAX_ROUNDS: u32 = 10;
const ROWS_PER_ROUND: u32 = 20_000;
/// Fewer unfindable elements than this are left alone.
const GOOD_ENOUGH_SHARE: f64 = 0.001;
/// So many rounds in a row without a gain end it.
const MAX_IDLE_ROUNDS: u32 = 3;
/// A round that leaves more than this of the unfindable elements gains too little to go on.
const MUST_REMAIN_BELOW: f64 = 0.9;

/// How far re-insertion came.
pub enum Outcome {
    Healed,
    /// What is still missing.
    NotEnough(String),
}

/// Re-inserts the rows that no search finds and vacuums, round by round while it gains. A row that the search does
/// not find gets a new element with fresh edges, and becomes a way into its region for others; hence the rounds.
pub fn reconnect(
    tools: &dyn IndexTools,
    kind: &IssueKind,
    goal: &Goal,
    mut health: IndexHealth,
    report: &mut Report,
) -> Result<Outcome, RepairError> {
    let (mut rounds, mut rows, mut wal_bytes, mut took_ms) = (0, 0, 0, 0);
    let (mut best, mut idle_rounds) = (health.unfindable, 0);
    let mut missing = goal.met(kind, &health).err();
    let stopped = loop {
        let share = unfindable_share(&health);
        if missing.is_none() && share.is_none_or(|share| share <= GOOD_ENOUGH_SHARE) {
            break None;
        }
        if rounds == MAX_ROUNDS {
            break Some(format!("{MAX_ROUNDS} rounds were not enough"));
        }
        let unfindable = tools.unfindable_rows(ROWS_PER_ROUND)?;
        if unfindable.is_empty() {
            break Some("every element is found by a search for its own vector".to_owned());
        }
        let done = match tools.reinsert_rows(&unfindable) {
            Ok(done) => done,
            Err(HostError::Denied(reason)) => break Some(format!("rows cannot be re-inserted: {reason}")),
            Err(error) => return Err(error.into()),
        };
        took_ms += done.took_ms + tools.vacuum()?;
        rounds += 1;
        rows += done.rows;
        wal_bytes += done.wal_bytes;
        let before = health.unfindable;
        health = tools.health()?;
        missing = goal.met(kind, &health).err();
        info!(
            "round {rounds}: {} rows re-inserted, {} skipped; unfindable {} -> {}, recall {}",
            done.rows,
            done.skipped,
            or_unknown(before),
            or_unknown(health.unfindable),
            or_unknown(health.recall)
        );
        // One bad round proves nothing: vacuum relinks the neighbours of what it removes, sometimes badly.
        idle_rounds = if gained(best, health.unfindable) { 0 } else { idle_rounds + 1 };
        best = best.min(health.unfindable);
        if idle_rounds > 0 && missing.is_none() {
            break None;
        }
        if idle_rounds == MAX_IDLE_ROUNDS {
            break Some(format!("{MAX_IDLE_ROUNDS} rounds gained too little"));
        }
    };
    report.add("rounds", rounds);
    report.add("rows_reinserted", rows);
    report.add("reinsertion_ms", took_ms);
    report.add("reinsertion_wal_bytes", wal_bytes);
    measured(report, "after_reinsertion", &health);
    Ok(match (missing, stopped) {
        (None, _) => Outcome::Healed,
        (Some(missing), Some(stopped)) => Outcome::NotEnough(format!("{missing} ({stopped})")),
        (Some(missing), None) => Outcome::NotEnough(missing),
    })
}

fn gained(before: Option<u64>, after: Option<u64>) -> bool {
    match (before, after) {
        (Some(before), Some(after)) => (after as f64) <= before as f64 * MUST_REMAIN_BELOW,
        _ => false,
    }
}

/// Writes the figures that a repair is judged by.
pub fn measured(report: &mut Report, when: &str, health: &IndexHealth) {
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            report.add(&format!("{name}_{when}"), value);
        }
    };
    add("recall", health.recall.map(|v| v.to_string()));
    add("blind_share", health.blind_share.map(|v| v.to_string()));
    add("unfindable", health.unfindable.map(|v| v.to_string()));
    add("orphans", health.orphan_count.map(|v| v.to_string()));
    add("fragmentation", health.fragmentation.map(|v| v.to_string()));
    add("cluster_balance", health.cluster_balance.map(|v| v.to_string()));
    add("size_bytes", Some(health.size_bytes.to_string()));
}

pub fn or_unknown<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |value| value.to_string())
}
