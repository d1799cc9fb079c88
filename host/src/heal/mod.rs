//! The healing loop: detect, diagnose, prioritize, repair, verify. The only file that names all five stages.

pub mod detect;
pub mod diagnose;
pub mod prioritize;
pub mod repair;
pub mod verify;

mod asked;
mod attempt;
mod breaker;
mod observe;
mod running;
mod witness;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;

use crate::components::Policies;
use crate::config::Config;
use crate::model::{AgendaItem, HealingMetrics, Issue, Progress, RepairRecord};
use crate::postgres::{CatalogError, Connector, Journal, server_facts};

pub use asked::{Accepted, Repairer};
pub use attempt::{Ended, repair_context, repair_settings, strategies_in_order};
pub use observe::{IndexFindings, indexes_under_care, observe};
pub use running::{Busy, Repairs, RunningRepair};
pub use witness::{Unseen, Witness};

use attempt::Attempt;

/// The loop of one database under care.
pub struct Healer {
    connector: Connector,
    config: Arc<Config>,
    policies: Arc<Policies>,
    journal: Arc<Journal>,
    progress: Arc<dyn Progress>,
    witness: Arc<dyn Witness>,
    repairs: Arc<Repairs>,
    /// Whether a database without a vector index is as good as any: it may get its first one tomorrow.
    may_be_empty: bool,
}

/// What one check cycle did.
pub struct CycleResult {
    pub detected_issues: Vec<Issue>,
    /// Indexes that could not be measured, with the reason; they are neither healthy nor ill.
    pub failed_checks: Vec<(String, String)>,
    pub repairs_initiated: usize,
    /// Those that ended since the last cycle's end.
    pub repairs_completed: Vec<RepairRecord>,
    pub active_repairs: usize,
    pub duration: Duration,
}

/// What was measured, and when that began.
struct Found {
    since: Instant,
    findings: IndexFindings,
}

impl Healer {
    /// Takes the lead of this database, resolves what an earlier run left open, and gets ready.
    ///
    /// # Errors
    /// Where another pgheal leads, or the database cannot be worked with.
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
        let healer = Healer::lead(connector, journal, config, policies, progress, Arc::new(Unseen)).await?;
        // Whoever names one wants it healed.
        Ok(Healer { may_be_empty: false, ..healer })
    }

    /// The same, where the lead was taken already.
    ///
    /// # Errors
    /// Where the lead was lost meanwhile, or the database cannot be worked with.
    pub async fn lead(
        connector: Connector,
        journal: Arc<Journal>,
        config: Arc<Config>,
        policies: Arc<Policies>,
        progress: Arc<dyn Progress>,
        witness: Arc<dyn Witness>,
    ) -> anyhow::Result<Healer> {
        for recovery in repair::recover(&connector, &journal).await.context("recovery of open attempts")? {
            tracing::warn!(repair = recovery.repair_id, "{}", recovery.reason);
        }
        journal.abandon_requests().await?;
        let metrics = journal.load_metrics().await?;
        let repairs = Repairs::new(Arc::clone(&journal), Arc::clone(&witness), metrics);
        Ok(Healer { connector, config, policies, journal, progress, witness, repairs, may_be_empty: true })
    }

    pub fn metrics(&self) -> HealingMetrics {
        self.repairs.metrics()
    }

    /// For repairs beside the loop.
    pub fn repairer(&self) -> Repairer {
        Repairer {
            connector: self.connector.clone(),
            policies: Arc::clone(&self.policies),
            journal: Arc::clone(&self.journal),
            progress: Arc::clone(&self.progress),
            witness: Arc::clone(&self.witness),
            repairs: Arc::clone(&self.repairs),
        }
    }

    /// Holds from the next cycle on; repairs that run keep what they began with.
    pub fn set_config(&mut self, config: Arc<Config>) {
        self.config = config;
    }

    /// One cycle of the specification. Repairs run on in the background; the cycle never waits for one.
    ///
    /// # Errors
    /// Where the database as a whole cannot be looked at; what fails with one index is in the result.
    #[tracing::instrument(name = "cycle", skip_all, fields(server = self.connector.server()))]
    pub async fn run_check_cycle(&mut self, filter: Option<&str>) -> anyhow::Result<CycleResult> {
        let started = Instant::now();
        repair::drop_expired(&self.connector, &self.journal).await.context("old indexes past their window")?;
        let session = self.connector.connect("check").await?;
        let facts = server_facts(&session).await?;
        let definitions = match indexes_under_care(&session, Some(&self.journal), filter).await {
            Ok((definitions, _)) => definitions,
            Err(error) if self.may_be_empty && is_without_index(&error) => Vec::new(),
            Err(error) => return Err(error),
        };
        drop(session);
        if filter.is_none() {
            self.witness.listed(&definitions);
        }

        let mut found: HashMap<u32, Found> = HashMap::new();
        let mut failed_checks = Vec::new();
        let mut detected_issues = Vec::new();
        let mut diagnoses = Vec::new();
        for definition in definitions {
            // A repair in progress changes what a measurement would see.
            if self.repairs.works_on(definition.name.table_oid) {
                continue;
            }
            let since = Instant::now();
            let looked_at = definition.clone();
            let name = &looked_at.name;
            match observe(&self.connector, &facts, definition, &self.config, self.progress.as_ref()).await {
                Ok(findings) => {
                    self.witness.measured(&findings);
                    detected_issues.extend(findings.issues.iter().cloned());
                    diagnoses.extend(findings.diagnoses.iter().cloned());
                    found.insert(name.oid, Found { since, findings });
                }
                Err(error) => {
                    let reason = format!("{:#}", anyhow::Error::new(error));
                    self.witness.failed(&looked_at, &reason);
                    failed_checks.push((name.to_string(), reason));
                }
            }
        }

        let agenda = prioritize::prioritize(&self.policies, diagnoses).await;
        if let Some(error) = &agenda.fallback {
            tracing::warn!("the order is by severity, since the prioritizer failed: {error}");
        }
        let mut repairs_initiated = 0;
        if self.config.healing.auto_heal_enabled {
            for item in agenda.items {
                match self.start_repair(item, &mut found) {
                    Ok(true) => repairs_initiated += 1,
                    Ok(false) | Err(Busy::Table(_)) => {}
                    Err(Busy::Full(_) | Busy::Closed) => break,
                }
            }
        }

        let repairs_completed = self.repairs.take_records();
        let metrics = self.repairs.checked(detected_issues.len(), repairs_initiated, unix_time_ms());
        self.journal.save_metrics(&metrics).await?;
        self.journal.prune_history(self.config.healing.history_retention_days).await?;
        Ok(CycleResult {
            detected_issues,
            failed_checks,
            repairs_initiated,
            repairs_completed,
            active_repairs: self.repairs.running().len(),
            duration: started.elapsed(),
        })
    }

    /// Cycles until nothing is left to try; the circuit breaker sees to an end. Gives the issues found first, and
    /// the last cycle's view with all repairs that were made.
    ///
    /// # Errors
    /// As `run_check_cycle`.
    pub async fn heal_once(&mut self, filter: Option<&str>) -> anyhow::Result<(Vec<Issue>, CycleResult)> {
        let mut first_issues: Option<Vec<Issue>> = None;
        let mut repairs = Vec::new();
        loop {
            let mut cycle = self.run_check_cycle(filter).await?;
            first_issues.get_or_insert_with(|| cycle.detected_issues.clone());
            repairs.append(&mut cycle.repairs_completed);
            self.repairs.wait().await;
            repairs.extend(self.repairs.take_records());
            if cycle.repairs_initiated == 0 {
                cycle.repairs_completed = repairs;
                return Ok((first_issues.unwrap_or_default(), cycle));
            }
        }
    }

    /// Starts the repair of an agenda item in the background. False: it is not to be repaired, it failed lately, or
    /// what was measured of it is past.
    fn start_repair(&self, item: AgendaItem, found: &mut HashMap<u32, Found>) -> Result<bool, Busy> {
        let issue = &item.diagnosis.issue;
        let Some(index) = issue.index.clone() else {
            return Ok(false);
        };
        if self.config.is_excluded(&index.schema, &index.name) || !self.repairs.allows(&issue.id) {
            return Ok(false);
        }
        // A repair of the same index, or one that somebody asked for, may have come between.
        if found.get(&index.oid).is_none_or(|found| self.repairs.worked_on_since(index.table_oid, found.since)) {
            return Ok(false);
        }
        let limit = self.config.healing.max_concurrent_repairs;
        let reservation = self.repairs.reserve(issue, &index, limit, &self.progress)?;
        let Some(Found { findings, .. }) = found.remove(&index.oid) else {
            return Ok(false);
        };
        let attempt = Attempt {
            connector: self.connector.clone(),
            config: Arc::clone(&self.config),
            policies: Arc::clone(&self.policies),
            journal: Arc::clone(&self.journal),
            progress: reservation.progress(),
            item,
            definition: findings.definition,
            before: findings.measurement,
        };
        reservation.run(attempt.run());
        Ok(true)
    }
}

fn is_without_index(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<CatalogError>(), Some(CatalogError::NoVectorIndex { .. }))
}

fn unix_time_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}
