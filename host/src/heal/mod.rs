//! The healing loop: detect, diagnose, prioritize, repair, verify. The only file that names all five stages.

pub mod detect;
pub mod diagnose;
pub mod prioritize;
pub mod repair;
pub mod verify;

mod attempt;
mod breaker;
mod observe;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use tokio::task::JoinHandle;

use crate::components::Policies;
use crate::config::Config;
use crate::model::{AgendaItem, HealingMetrics, Issue, Outcome, Progress, RepairRecord};
use crate::postgres::{Connector, Journal, server_facts};

pub use attempt::{Ended, repair_context, repair_settings, strategies_in_order};
pub use observe::{IndexFindings, indexes_under_care, observe};

use attempt::Attempt;
use breaker::{CircuitBreaker, Ending};

/// One database under care.
pub struct Healer {
    connector: Connector,
    config: Arc<Config>,
    policies: Arc<Policies>,
    journal: Arc<Journal>,
    progress: Arc<dyn Progress>,
    /// Running repairs by the OID of the table that they work on: two on one table would wait for each other.
    active: HashMap<u32, JoinHandle<anyhow::Result<Ended>>>,
    breaker: CircuitBreaker,
    metrics: HealingMetrics,
}

/// What one check cycle did.
pub struct CycleResult {
    pub detected_issues: Vec<Issue>,
    /// Indexes that could not be measured, with the reason; they are neither healthy nor ill.
    pub failed_checks: Vec<(String, String)>,
    pub repairs_initiated: usize,
    pub repairs_completed: Vec<RepairRecord>,
    pub active_repairs: usize,
    pub duration: Duration,
}

impl Healer {
    /// Takes the lead of this database, resolves what an earlier run left open, and gets ready.
    pub async fn start(
        connector: Connector,
        config: Arc<Config>,
        policies: Arc<Policies>,
        progress: Arc<dyn Progress>,
    ) -> anyhow::Result<Healer> {
        let journal = Arc::new(Journal::open(&connector).await.context("the journal in schema pgheal")?);
        anyhow::ensure!(
            journal.acquire_leadership().await?,
            "another pgheal leads on {}; this one changes nothing",
            connector.server()
        );
        for recovery in repair::recover(&connector, &journal).await.context("recovery of open attempts")? {
            tracing::warn!(repair = recovery.repair_id, "{}", recovery.reason);
        }
        let metrics = journal.load_metrics().await?;
        Ok(Healer {
            connector,
            config,
            policies,
            journal,
            progress,
            active: HashMap::new(),
            breaker: CircuitBreaker::default(),
            metrics,
        })
    }

    pub fn metrics(&self) -> &HealingMetrics {
        &self.metrics
    }

    /// One cycle of the specification. Repairs run on in the background; the cycle never waits for one.
    #[tracing::instrument(name = "cycle", skip_all, fields(server = self.connector.server()))]
    pub async fn run_check_cycle(&mut self, filter: Option<&str>) -> anyhow::Result<CycleResult> {
        let started = Instant::now();
        repair::drop_expired(&self.connector, &self.journal).await.context("old indexes past their window")?;
        let session = self.connector.connect("check").await?;
        let facts = server_facts(&session).await?;
        let (definitions, _) = indexes_under_care(&session, Some(&self.journal), filter).await?;
        drop(session);

        let mut findings = HashMap::new();
        let mut failed_checks = Vec::new();
        let mut detected_issues = Vec::new();
        let mut diagnoses = Vec::new();
        for definition in definitions {
            // A repair in progress changes what a measurement would see.
            if self.active.contains_key(&definition.name.table_oid) {
                continue;
            }
            let oid = definition.name.oid;
            let name = definition.name.to_string();
            match observe(&self.connector, &facts, definition, &self.config, self.progress.as_ref()).await {
                Ok(found) => {
                    detected_issues.extend(found.issues.iter().cloned());
                    diagnoses.extend(found.diagnoses.iter().cloned());
                    findings.insert(oid, found);
                }
                Err(error) => failed_checks.push((name, format!("{error:#}"))),
            }
        }

        let agenda = prioritize::prioritize(&self.policies, diagnoses).await;
        if let Some(error) = &agenda.fallback {
            tracing::warn!("the order is by severity, since the prioritizer failed: {error}");
        }
        let mut repairs_initiated = 0;
        if self.config.healing.auto_heal_enabled {
            for item in agenda.items {
                if self.active.len() >= self.config.healing.max_concurrent_repairs {
                    break;
                }
                if self.start_repair(item, &mut findings) {
                    repairs_initiated += 1;
                }
            }
        }

        let repairs_completed = self.collect_finished().await;
        self.metrics.checks_performed += 1;
        self.metrics.issues_detected += detected_issues.len() as u64;
        self.metrics.repairs_initiated += repairs_initiated as u64;
        self.metrics.last_check_time = unix_time_ms();
        self.journal.save_metrics(&self.metrics).await?;
        self.journal.prune_history(self.config.healing.history_retention_days).await?;
        Ok(CycleResult {
            detected_issues,
            failed_checks,
            repairs_initiated,
            repairs_completed,
            active_repairs: self.active.len(),
            duration: started.elapsed(),
        })
    }

    /// Cycles until nothing is left to try; the circuit breaker sees to an end. Gives the issues found first, and
    /// the last cycle's view with all repairs that were made.
    pub async fn heal_once(&mut self, filter: Option<&str>) -> anyhow::Result<(Vec<Issue>, CycleResult)> {
        let mut first_issues: Option<Vec<Issue>> = None;
        let mut repairs = Vec::new();
        loop {
            let mut cycle = self.run_check_cycle(filter).await?;
            first_issues.get_or_insert_with(|| cycle.detected_issues.clone());
            repairs.append(&mut cycle.repairs_completed);
            repairs.extend(self.wait_for_repairs().await);
            if cycle.repairs_initiated == 0 {
                cycle.repairs_completed = repairs;
                return Ok((first_issues.unwrap_or_default(), cycle));
            }
        }
    }

    /// Waits for every running repair.
    pub async fn wait_for_repairs(&mut self) -> Vec<RepairRecord> {
        let mut records = Vec::new();
        for (_, task) in std::mem::take(&mut self.active) {
            let ended = task.await;
            records.extend(self.account(ended).await);
        }
        records
    }

    /// Starts the repair of an agenda item in the background, unless its table is being worked on, it failed
    /// lately, or nothing was measured.
    fn start_repair(&mut self, item: AgendaItem, findings: &mut HashMap<u32, IndexFindings>) -> bool {
        let Some(index) = item.diagnosis.issue.index.clone() else {
            return false;
        };
        if self.active.contains_key(&index.table_oid)
            || self.config.is_excluded(&index.schema, &index.name)
            || !self.breaker.allows(&item.diagnosis.issue.id)
        {
            return false;
        }
        let Some(found) = findings.remove(&index.oid) else {
            return false;
        };
        let attempt = Attempt {
            connector: self.connector.clone(),
            config: Arc::clone(&self.config),
            policies: Arc::clone(&self.policies),
            journal: Arc::clone(&self.journal),
            progress: Arc::clone(&self.progress),
            item,
            definition: found.definition,
            before: found.measurement,
        };
        self.active.insert(index.table_oid, tokio::spawn(attempt.run()));
        true
    }

    async fn collect_finished(&mut self) -> Vec<RepairRecord> {
        let finished: HashSet<u32> =
            self.active.iter().filter(|(_, task)| task.is_finished()).map(|(table, _)| *table).collect();
        let mut records = Vec::new();
        for table in finished {
            if let Some(task) = self.active.remove(&table) {
                let ended = task.await;
                records.extend(self.account(ended).await);
            }
        }
        records
    }

    /// Books an ended repair in the metrics and the circuit breaker.
    async fn account(&mut self, ended: Result<anyhow::Result<Ended>, tokio::task::JoinError>) -> Vec<RepairRecord> {
        let ended = match ended {
            Ok(Ok(ended)) => ended,
            Ok(Err(error)) => {
                tracing::error!("a repair could not be carried through: {error:#}");
                self.metrics.repairs_failed += 1;
                return Vec::new();
            }
            Err(error) => {
                tracing::error!("a repair's task ended: {error}");
                self.metrics.repairs_failed += 1;
                return Vec::new();
            }
        };
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
        if let Err(error) = self.journal.save_metrics(&self.metrics).await {
            tracing::error!("the metrics could not be saved: {error:#}");
        }
        ended.records
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

fn unix_time_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}
