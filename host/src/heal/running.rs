use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::watch;

use super::attempt::Ended;
use super::breaker::{CircuitBreaker, Ending};
use super::witness::Witness;
use crate::model::{HealingMetrics, IndexName, Issue, Outcome, Progress, RepairRecord};
use crate::postgres::Journal;

/// The repairs of one database that run, and the account of those that ended: shared by the loop, which starts them by
/// itself, and by whoever asks for one.
pub struct Repairs {
    state: Mutex<State>,
    journal: Arc<Journal>,
    witness: Arc<dyn Witness>,
    /// How many run.
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    /// By the OID of the table that they work on: two on one table would wait for each other.
    running: HashMap<u32, Entry>,
    /// When the last repair of a table ended: what was measured before is past.
    ended_at: HashMap<u32, Instant>,
    /// Since they were taken last.
    records: Vec<RepairRecord>,
    breaker: CircuitBreaker,
    metrics: HealingMetrics,
    closed: bool,
}

struct Entry {
    view: RunningRepair,
    progress: Arc<Phase>,
}

/// A repair that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningRepair {
    /// The request for it, where somebody asked.
    pub ticket: Option<i64>,
    pub issue_id: String,
    pub index: IndexName,
    pub started_at: SystemTime,
    /// Phase and progress in words.
    pub progress: String,
}

/// Why a repair is not begun now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    #[error("a repair of {0} runs on that table already")]
    Table(String),
    #[error("{0} repairs run already, as many as max_concurrent_repairs allows")]
    Full(usize),
    #[error("no repair is begun any more: pgheal is ending, or has lost the lead")]
    Closed,
}

impl Repairs {
    pub(super) fn new(journal: Arc<Journal>, witness: Arc<dyn Witness>, metrics: HealingMetrics) -> Arc<Self> {
        Arc::new(Repairs {
            state: Mutex::new(State { metrics, ..State::default() }),
            journal,
            witness,
            count: watch::Sender::new(0),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn metrics(&self) -> HealingMetrics {
        self.state().metrics
    }

    pub fn running(&self) -> Vec<RunningRepair> {
        let mut running: Vec<RunningRepair> = self
            .state()
            .running
            .values()
            .map(|entry| RunningRepair { progress: entry.progress.in_words(), ..entry.view.clone() })
            .collect();
        running.sort_by_key(|repair| repair.started_at);
        running
    }

    /// From now on none is begun; those that run go on.
    pub fn close(&self) {
        self.state().closed = true;
    }

    /// Returns when none runs.
    pub async fn wait(&self) {
        // The sender is ours: it cannot be gone.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }

    pub(super) fn works_on(&self, table_oid: u32) -> bool {
        self.state().running.contains_key(&table_oid)
    }

    /// Whether a repair has worked on the table since then.
    pub(super) fn worked_on_since(&self, table_oid: u32, since: Instant) -> bool {
        let state = self.state();
        state.running.contains_key(&table_oid) || state.ended_at.get(&table_oid).is_some_and(|ended| *ended >= since)
    }

    /// Whether the loop may try this issue by itself.
    pub(super) fn allows(&self, issue_id: &str) -> bool {
        self.state().breaker.allows(issue_id)
    }

    /// Takes the table of `index` for a repair of the issue.
    pub(super) fn reserve(
        self: &Arc<Self>,
        issue: &Issue,
        index: &IndexName,
        limit: usize,
        outer: &Arc<dyn Progress>,
    ) -> Result<Reservation, Busy> {
        let mut state = self.state();
        if state.closed {
            return Err(Busy::Closed);
        }
        if let Some(entry) = state.running.get(&index.table_oid) {
            return Err(Busy::Table(entry.view.issue_id.clone()));
        }
        if state.running.len() >= limit {
            return Err(Busy::Full(state.running.len()));
        }
        let progress = Arc::new(Phase { now: Mutex::default(), outer: Arc::clone(outer) });
        let view = RunningRepair {
            ticket: None,
            issue_id: issue.id.clone(),
            index: index.clone(),
            started_at: SystemTime::now(),
            progress: String::new(),
        };
        state.running.insert(index.table_oid, Entry { view, progress: Arc::clone(&progress) });
        self.count.send_replace(state.running.len());
        Ok(Reservation { repairs: Arc::clone(self), index: index.clone(), progress, begun: false })
    }

    pub(super) fn checked(&self, issues: usize, initiated: usize, now_ms: u64) -> HealingMetrics {
        let mut state = self.state();
        state.metrics.checks_performed += 1;
        state.metrics.issues_detected += issues as u64;
        state.metrics.repairs_initiated += initiated as u64;
        state.metrics.last_check_time = now_ms;
        state.metrics
    }

    /// One that the loop did not begin.
    pub(super) fn initiated(&self) {
        self.state().metrics.repairs_initiated += 1;
    }

    /// The repairs that ended since this was asked last.
    pub(super) fn take_records(&self) -> Vec<RepairRecord> {
        std::mem::take(&mut self.state().records)
    }

    /// Books an ended repair in the metrics and the circuit breaker.
    async fn account(&self, ended: anyhow::Result<Ended>) {
        let metrics = {
            let mut state = self.state();
            match ended {
                Ok(ended) => state.account(ended),
                Err(error) => {
                    tracing::error!("a repair could not be carried through: {error:#}");
                    state.metrics.repairs_failed += 1;
                }
            }
            state.metrics
        };
        if let Err(error) = self.journal.save_metrics(&metrics).await {
            tracing::error!("the metrics could not be saved: {error:#}");
        }
    }

    fn release(&self, index: &IndexName, worked: bool) {
        {
            let mut state = self.state();
            state.running.remove(&index.table_oid);
            if worked {
                state.ended_at.insert(index.table_oid, Instant::now());
            }
            self.count.send_replace(state.running.len());
        }
        if worked {
            self.witness.repaired(index);
        }
    }
}

impl State {
    fn account(&mut self, ended: Ended) {
        if ended.not_needed {
            return;
        }
        let healed = ended.records.iter().any(|r| r.outcome == Some(Outcome::Healed));
        if healed {
            self.metrics.repairs_successful += 1;
        } else {
            self.metrics.repairs_failed += 1;
        }
        self.metrics.repairs_rolled_back +=
            ended.records.iter().filter(|r| r.outcome == Some(Outcome::RolledBack)).count() as u64;
        self.metrics.total_repair_time_ms += ended.took_ms;
        self.breaker.ended(&ended.issue_id, ended.ending());
        self.records.extend(ended.records);
    }
}

impl Ended {
    fn ending(&self) -> Ending {
        let any = |outcome| self.records.iter().any(|r| r.outcome == Some(outcome));
        if any(Outcome::Healed) {
            Ending::Healed
        } else if any(Outcome::RolledBack) || any(Outcome::RollbackFailed) {
            Ending::Failed
        } else {
            Ending::NothingDone
        }
    }
}

/// A table that is taken for a repair which has not begun yet; dropped, it is free again.
pub(super) struct Reservation {
    repairs: Arc<Repairs>,
    index: IndexName,
    progress: Arc<Phase>,
    begun: bool,
}

impl Reservation {
    /// Where the repair says how far it is.
    pub(super) fn progress(&self) -> Arc<dyn Progress> {
        Arc::clone(&self.progress) as Arc<dyn Progress>
    }

    pub(super) fn set_ticket(&self, ticket: i64) {
        if let Some(entry) = self.repairs.state().running.get_mut(&self.index.table_oid) {
            entry.view.ticket = Some(ticket);
        }
    }

    /// Runs the work in the background, books it and frees the table. A panic in it is a repair that failed.
    pub(super) fn run(mut self, work: impl Future<Output = anyhow::Result<Ended>> + Send + 'static) {
        self.begun = true;
        tokio::spawn(async move {
            let reservation = self;
            let ended = match tokio::spawn(work).await {
                Ok(ended) => ended,
                Err(error) => Err(anyhow::anyhow!("its task ended: {error}")),
            };
            reservation.repairs.account(ended).await;
        });
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.repairs.release(&self.index, self.begun);
    }
}

/// The progress of one repair, for whoever looks, passed on to whoever watches all of it.
struct Phase {
    now: Mutex<PhaseNow>,
    outer: Arc<dyn Progress>,
}

#[derive(Default)]
struct PhaseNow {
    name: String,
    total: Option<u64>,
    done: u64,
}

impl Phase {
    fn in_words(&self) -> String {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let mut words = if now.name.is_empty() { "begins".to_owned() } else { now.name.clone() };
        // Writing into a text cannot fail.
        let _ = match now.total {
            Some(total) if total > 0 => write!(words, ", {} of {total}", now.done.min(total)),
            _ if now.done > 0 => write!(words, ", {}", now.done),
            _ => Ok(()),
        };
        words
    }
}

impl Progress for Phase {
    fn phase(&self, name: &str, total: Option<u64>) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = PhaseNow { name: name.to_owned(), total, done: 0 };
        self.outer.phase(name, total);
    }

    fn done(&self, position: u64) {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).done = position;
        self.outer.done(position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Silent;

    fn check(phases: &[(&str, Option<u64>)], done: u64, expected: &str) {
        let phase = Phase { now: Mutex::default(), outer: Arc::new(Silent) };
        for (name, total) in phases {
            phase.phase(name, *total);
        }
        phase.done(done);
        assert_eq!(phase.in_words(), expected);
    }

    #[test]
    fn progress_in_words() {
        check(&[], 0, "begins");
        check(&[("reading pages", Some(10))], 4, "reading pages, 4 of 10");
        check(&[("reading pages", Some(10)), ("building", None)], 0, "building");
        check(&[("taking back", None)], 3, "taking back, 3");
        // Rows that came meanwhile.
        check(&[("loading tuples", Some(10))], 12, "loading tuples, 10 of 10");
    }
}
