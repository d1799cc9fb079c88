use pgheal_guest_sdk::*;

use crate::goal::{Goal, unfindable_share};

/// More rounds than this never helped.
const MAX_ROUNDS: u32 = 6;
const ROWS_PER_ROUND: u32 = 20_000;
/// Fewer unfindable elements than this are left alone.
const GOOD_ENOUGH_SHARE: f64 = 0.001;
/// Up to this share of unfindable elements, all is measured: the goal may be met.
const FEW_SHARE: f64 = 0.005;
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
/// Between them only the unfindable rows are measured; all of it where few are left or nothing is gained.
pub fn reconnect(
    tools: &dyn IndexTools,
    kind: &IssueKind,
    goal: &Goal,
    mut health: IndexHealth,
    report: &mut Report,
) -> Result<Outcome, RepairError> {
    let (mut rounds, mut rows, mut wal_bytes, mut took_ms) = (0, 0, 0, 0);
    let mut lost = tools.unfindable_rows(ROWS_PER_ROUND)?;
    let (mut best, mut idle_rounds) = (Progress::of(&health, lost.len()), 0);
    let mut missing = goal.met(kind, &health).err();
    let stopped = loop {
        if rounds == MAX_ROUNDS {
            break Some(format!("{MAX_ROUNDS} rounds were not enough"));
        }
        if lost.is_empty() {
            break Some("every element is found by a search for its own vector, with its neighbours".to_owned());
        }
        let done = match tools.reinsert_rows(&lost) {
            Ok(done) => done,
            Err(HostError::Denied(reason)) => break Some(format!("rows cannot be re-inserted: {reason}")),
            Err(error) => return Err(error.into()),
        };
        took_ms += done.took_ms + tools.vacuum()?;
        rounds += 1;
        rows += done.rows;
        wal_bytes += done.wal_bytes;
        lost = tools.unfindable_rows(ROWS_PER_ROUND)?;
        info!(
            "round {rounds}: {} rows re-inserted, {} skipped, {} are unfindable",
            done.rows,
            done.skipped,
            lost.len()
        );
        // One bad round proves nothing: vacuum relinks the neighbours of what it removes, sometimes badly.
        let gained = best.gained(lost.len());
        let few = health.unfindable_of.is_some_and(|of| lost.len() as f64 <= of as f64 * FEW_SHARE);
        if gained && !few {
            (best.lost, idle_rounds) = (lost.len(), 0);
            continue;
        }
        health = tools.health()?;
        missing = goal.met(kind, &health).err();
        // Where few are left, the blind queries tell whether it goes on getting better.
        let better = gained || best.fewer_blind(&health);
        idle_rounds = if better { 0 } else { idle_rounds + 1 };
        best.note(&health, lost.len());
        let share = unfindable_share(&health);
        if missing.is_none() && (idle_rounds > 0 || share.is_none_or(|share| share <= GOOD_ENOUGH_SHARE)) {
            break None;
        }
        if idle_rounds == MAX_IDLE_ROUNDS {
            break Some(format!("{MAX_IDLE_ROUNDS} rounds gained too little"));
        }
        // Now that all is measured, rows that are found without their neighbours are among them.
        lost = tools.unfindable_rows(ROWS_PER_ROUND)?;
    };
    if rounds > 0 {
        health = tools.health()?;
        missing = goal.met(kind, &health).err();
    }
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

/// The best that was seen so far.
struct Progress {
    lost: usize,
    blind_share: Option<f64>,
}

impl Progress {
    fn of(health: &IndexHealth, lost: usize) -> Self {
        Progress { lost, blind_share: health.blind_share }
    }

    fn gained(&self, lost: usize) -> bool {
        (lost as f64) <= self.lost as f64 * MUST_REMAIN_BELOW
    }

    fn fewer_blind(&self, health: &IndexHealth) -> bool {
        matches!((self.blind_share, health.blind_share), (Some(before), Some(now)) if now <= before * MUST_REMAIN_BELOW && now < before)
    }

    fn note(&mut self, health: &IndexHealth, lost: usize) {
        self.lost = self.lost.min(lost);
        self.blind_share = match (self.blind_share, health.blind_share) {
            (Some(before), Some(now)) => Some(before.min(now)),
            (before, now) => now.or(before),
        };
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
