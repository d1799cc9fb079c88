use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use crate::components::{
    BuildOptions, Candidate, Comparison, HostError, PolicyHost, Reinsertion, SettingScope, SqlRows, SqlValue,
};
use crate::measure::{self, MeasureError, MeasureOptions, Measurement};
use crate::model::{AccessMethod, IndexDefinition, IndexHealth, IndexName, Progress, Tid};
use crate::pgvector::ProbeSet;
use crate::postgres::{Connector, Journal, Step, StepRecord, index_definition};

use super::actions;
use super::error::{database_error, gone, journal_error};
use super::session::ActionSession;
use super::settings::RepairSettings;
use super::sql::Sandbox;
use super::state::{Measured, State};
use super::undo::{UndoReport, undo_steps};
use super::watch::{Limits, run_watched};

/// What one repair can ask of the host, and what it has asked so far. Every change is written to the journal with
/// its undo before it happens. An action goes on to a safe end even where the call that asked for it is dropped;
/// `undo_open` waits for that.
pub struct RepairHost {
    work: Arc<Work>,
}

/// Shared with the task of the running action.
pub(super) struct Work {
    pub connector: Connector,
    pub journal: Arc<Journal>,
    pub repair_id: i64,
    pub index: Option<IndexDefinition>,
    pub settings: RepairSettings,
    pub measure: MeasureOptions,
    pub progress: Arc<dyn Progress>,
    abandoned: watch::Sender<bool>,
    /// The policy is asked for its judgement: nothing is changed.
    reading: AtomicBool,
    state: Arc<Mutex<State>>,
    sandbox: Mutex<Option<Sandbox>>,
}

impl RepairHost {
    /// The host of the repair `repair_id` (from `Journal::start_repair`). `index` is the one that it may work on;
    /// without one, only SQL and parameters are left.
    pub fn new(
        connector: Connector,
        journal: Arc<Journal>,
        repair_id: i64,
        index: Option<IndexDefinition>,
        settings: RepairSettings,
        measure: MeasureOptions,
        progress: Arc<dyn Progress>,
    ) -> Arc<Self> {
        Arc::new(RepairHost {
            work: Arc::new(Work {
                connector,
                journal,
                repair_id,
                index,
                settings,
                measure,
                progress,
                abandoned: watch::Sender::new(false),
                reading: AtomicBool::new(false),
                state: Arc::default(),
                sandbox: Mutex::new(None),
            }),
        })
    }

    /// Takes over the measurement that found the issue: the repair measures on its probes and need not begin with
    /// a measurement of its own. Only where the index did not change since.
    pub async fn adopt_measurement(&self, measurement: Measurement) {
        let Some(index) = &self.work.index else { return };
        let mut state = self.work.state.lock().await;
        state.probes = measurement.probes.clone();
        state.last = Some(Measured::new(index.name.oid, measurement));
    }

    /// The probe queries of this repair, for measurements that shall be comparable with it.
    pub async fn probes(&self) -> Option<Arc<ProbeSet>> {
        self.work.state.lock().await.probes.clone()
    }

    /// The last measurement, where nothing was changed since and it is only seconds old.
    ///
    /// # Errors
    /// Where the index cannot be looked up any more.
    pub async fn measured_just_now(&self) -> Result<Option<Measurement>, HostError> {
        let Some(index) = &self.work.index else { return Ok(None) };
        let (_session, definition) = self.work.open(&index.name, "verify").await?;
        let state = self.work.state.lock().await;
        let last = state.last.as_ref().filter(|last| last.is_just_made_of(definition.name.oid));
        Ok(last.map(|last| Measurement {
            health: last.health.clone(),
            unfindable_rows: last.unfindable_rows.clone(),
            probes: state.probes.clone(),
        }))
    }

    /// Ends the policy's own transaction: its SQL stays. False where there was none.
    pub async fn commit_sql(&self) -> Result<bool, HostError> {
        match self.work.sandbox.lock().await.take() {
            Some(sandbox) => sandbox.commit().await.map(|()| true),
            None => Ok(false),
        }
    }

    /// Takes back what the policy's own transaction did, if one is open.
    pub async fn rollback_sql(&self) -> Result<(), HostError> {
        match self.work.sandbox.lock().await.take() {
            Some(sandbox) => sandbox.rollback().await,
            None => Ok(()),
        }
    }

    /// From here on the policy only reads: its open transaction stays, but nothing more is written, and actions are
    /// refused.
    pub async fn only_read(&self) -> Result<(), HostError> {
        self.work.reading.store(true, Ordering::SeqCst);
        match self.work.sandbox.lock().await.as_mut() {
            Some(sandbox) => sandbox.only_read().await,
            None => Ok(()),
        }
    }

    /// Before the policy takes back its own part: what its transaction did is rolled back, an action that still runs
    /// is waited for, and actions are possible again.
    pub async fn begin_policy_rollback(&self) -> Result<(), HostError> {
        self.rollback_sql().await?;
        let _ended = self.work.state.lock().await;
        self.work.reading.store(false, Ordering::SeqCst);
        self.work.abandoned.send_replace(false);
        Ok(())
    }

    /// After a repair that ended well: drops what it built and did not use.
    pub async fn settle(&self) -> Result<UndoReport, HostError> {
        let work = &self.work;
        let state = work.state.lock().await;
        let steps = work.journal.steps(work.repair_id).await.map_err(journal_error)?;
        let unused: Vec<StepRecord> =
            steps.into_iter().filter(|step| state.candidates.contains_key(&step.id)).collect();
        undo_steps(&work.connector, &work.journal, &unused, work.settings.stall_limit, work.progress.as_ref()).await
    }

    /// Takes back, from the journal and in reverse order, everything that this repair has done: with or without
    /// the policy. An action that still runs is ended first.
    pub async fn undo_open(&self) -> Result<UndoReport, HostError> {
        let work = &self.work;
        work.abandoned.send_replace(true);
        self.rollback_sql().await?;
        let mut state = work.state.lock().await;
        state.forget();
        if !work.journal.acquire_leadership().await.map_err(journal_error)? {
            return Err(HostError::NotNow("the lead was lost: whoever leads now takes this back".to_owned()));
        }
        work.journal.begin_rollback(work.repair_id).await.map_err(journal_error)?;
        let steps = work.journal.steps(work.repair_id).await.map_err(journal_error)?;
        undo_steps(&work.connector, &work.journal, &steps, work.settings.stall_limit, work.progress.as_ref()).await
    }

    /// Runs an action to its end in a task of its own, alone. Where the caller is dropped, the action is told to
    /// end early and clean up.
    async fn act<T, F>(&self, action: impl FnOnce(Arc<Work>, OwnedMutexGuard<State>) -> F) -> Result<T, HostError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, HostError>> + Send + 'static,
    {
        self.work.ready_for_change().await?;
        let state = self.work.state.clone().lock_owned().await;
        let mut caller = CallerGuard { work: &self.work, armed: true };
        let result = tokio::spawn(action(self.work.clone(), state)).await;
        caller.armed = false;
        result.unwrap_or_else(|error| Err(HostError::Unknown(format!("the host failed: {error}"))))
    }
}

/// Tells the running action when its caller is dropped.
struct CallerGuard<'a> {
    work: &'a Work,
    armed: bool,
}

impl Drop for CallerGuard<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.work.abandoned.send_replace(true);
        }
    }
}

impl Work {
    /// Whether a change may begin: not in a dry run, by the leader only, no open transaction of the policy.
    async fn ready_for_change(&self) -> Result<(), HostError> {
        if self.settings.dry_run {
            return Err(HostError::Denied("this is a dry run: nothing is changed".to_owned()));
        }
        if self.reading.load(Ordering::SeqCst) {
            return Err(HostError::Denied("validation only reads: nothing is changed".to_owned()));
        }
        if *self.abandoned.borrow() {
            return Err(HostError::Limit("this repair was ended".to_owned()));
        }
        if !self.journal.acquire_leadership().await.map_err(journal_error)? {
            return Err(HostError::NotNow(
                "another pgheal repairs this database, or the server is in recovery".to_owned(),
            ));
        }
        let mut slot = self.sandbox.lock().await;
        if let Some(sandbox) = slot.take() {
            if sandbox.wrote() {
                *slot = Some(sandbox);
                return Err(HostError::NotNow(
                    "the policy's transaction has written; host actions come before its own writes".to_owned(),
                ));
            }
            sandbox.rollback().await?;
        }
        Ok(())
    }

    /// The policy's open transaction.
    async fn sandbox_in<'a>(&self, slot: &'a mut Option<Sandbox>) -> Result<&'a mut Sandbox, HostError> {
        let may_write = !self.reading.load(Ordering::SeqCst);
        Sandbox::opened(slot, &self.connector, &self.settings, may_write).await
    }

    pub fn is_abandoned(&self) -> bool {
        *self.abandoned.borrow()
    }

    /// A session for an action, and the index as it is now: by name, because a swap changes its OID.
    pub async fn open(&self, index: &IndexName, purpose: &str) -> Result<(ActionSession, IndexDefinition), HostError> {
        let allowed = self
            .index
            .as_ref()
            .ok_or_else(|| HostError::Denied("this repair is about no index; it may not work on one".to_owned()))?;
        if (&index.schema, &index.name) != (&allowed.name.schema, &allowed.name.name) {
            return Err(HostError::Denied(format!("this repair may work on {} only", allowed.name)));
        }
        let session = ActionSession::open(&self.connector, purpose).await?;
        let definition = self.find(&session, &allowed.name).await?;
        Ok((session, definition))
    }

    pub async fn find(&self, session: &ActionSession, name: &IndexName) -> Result<IndexDefinition, HostError> {
        let oid: u32 = session
            .query_opt(
                "SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                  WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'i'",
                &[&name.schema, &name.name],
            )
            .await
            .map_err(|e| database_error(&e))?
            .ok_or_else(gone)?
            .get(0);
        self.definition(session, oid).await
    }

    pub async fn definition(&self, session: &ActionSession, oid: u32) -> Result<IndexDefinition, HostError> {
        index_definition(session, oid).await.map_err(|e| HostError::Unknown(e.to_string()))?.ok_or_else(gone)
    }

    /// Measures on the repair's probes; the first measurement makes them.
    pub async fn measure(&self, state: &mut State, index: &IndexDefinition) -> Result<(), HostError> {
        if state.last.as_ref().is_some_and(|last| last.is_fresh_of(index.name.oid)) {
            return Ok(());
        }
        let measurement = self.measure_apart(state, index).await?;
        state.last = Some(Measured::new(index.name.oid, measurement));
        Ok(())
    }

    pub async fn measure_apart(&self, state: &mut State, index: &IndexDefinition) -> Result<Measurement, HostError> {
        let begun = match state.begun.take() {
            Some((oid, begun)) if oid == index.name.oid => Some(begun),
            other => {
                state.begun = other;
                None
            }
        };
        // The curve is most of a measurement's cost. A graph's matters before the repair only; that of lists tells how
        // many of them to make.
        let curve = state.probes.is_none() || index.name.method == AccessMethod::Ivfflat;
        let options = MeasureOptions { curve: curve && self.measure.curve, ..self.measure.clone() };
        let measurement =
            measure::measure_on(&self.connector, index, &options, state.probes.clone(), begun, self.progress.as_ref())
                .await
                .map_err(|e| not_measured(index, e))?;
        if state.probes.is_none() {
            state.probes = measurement.probes.clone();
        }
        Ok(measurement)
    }

    /// The rows that re-insertion would help, without the rest of a measurement where there is none. Where the index
    /// is as good as free of unfindable rows and misses its target all the same, the misplaced ones are among them.
    async fn lost_rows(&self, state: &mut State, index: &IndexDefinition) -> Result<Vec<Tid>, HostError> {
        let (connector, progress) = (&self.connector, self.progress.as_ref());
        let settings = &self.settings;
        let Some(last) = state.last.as_mut().filter(|last| last.is_fresh_of(index.name.oid)) else {
            let begun = measure::unfindable_rows(connector, index, &self.measure, progress)
                .await
                .map_err(|e| not_measured(index, e))?;
            let rows = begun.unfindable_rows.clone();
            state.begun = Some((index.name.oid, begun));
            return Ok(rows);
        };
        let mut rows = last.unfindable_rows.clone();
        if last.is_blind_beside_unfindable(settings.recall_target, settings.max_blind_share) {
            if last.misplaced_rows.is_none() {
                let found = measure::misplaced_rows(connector, index, &self.measure, progress).await;
                last.misplaced_rows = Some(found.map_err(|e| not_measured(index, e))?);
            }
            let misplaced = last.misplaced_rows.iter().flatten().copied();
            let misplaced: Vec<Tid> = misplaced.filter(|tid| !last.unfindable_rows.contains(tid)).collect();
            rows.extend(&misplaced);
            state.misplaced = misplaced.into_iter().collect();
        }
        Ok(rows)
    }

    pub async fn begin(&self, step: &Step) -> Result<i64, HostError> {
        self.journal.begin_step(self.repair_id, step).await.map_err(journal_error)
    }

    pub async fn done(&self, step_id: i64, object_oid: Option<u32>, note: &str) -> Result<(), HostError> {
        self.journal.finish_step(step_id, object_oid, note).await.map_err(journal_error)
    }

    /// The step failed and left nothing; the error goes on.
    pub async fn failed(&self, step_id: i64, error: HostError) -> HostError {
        match self.journal.fail_step(step_id, &error.to_string()).await {
            Ok(()) => error,
            // The step stays open in the journal: undo and recovery look what it left.
            Err(journal) => HostError::NotNow(format!("{error}; and {journal}")),
        }
    }

    pub async fn run_watched(
        &self,
        session: &ActionSession,
        sql: &str,
        failpoint: Option<&str>,
    ) -> Result<(), HostError> {
        let limits = Limits { stall: self.settings.stall_limit, abandoned: self.abandoned.subscribe() };
        run_watched(&self.connector, session, sql, limits, self.progress.as_ref(), failpoint).await
    }
}

fn not_measured(index: &IndexDefinition, error: MeasureError) -> HostError {
    HostError::Unknown(format!("{} could not be measured: {error}", index.name))
}

#[async_trait]
impl PolicyHost for RepairHost {
    async fn query(&self, sql: &str, params: Vec<SqlValue>) -> Result<SqlRows, HostError> {
        let mut slot = self.work.sandbox.lock().await;
        self.work.sandbox_in(&mut slot).await?.query(sql, params).await
    }

    async fn execute(&self, sql: &str, params: Vec<SqlValue>) -> Result<u64, HostError> {
        let mut slot = self.work.sandbox.lock().await;
        self.work.sandbox_in(&mut slot).await?.execute(sql, params).await
    }

    async fn health(&self, index: &IndexName) -> Result<IndexHealth, HostError> {
        let (_session, definition) = self.work.open(index, "measure").await?;
        let mut state = self.work.state.lock().await;
        self.work.measure(&mut state, &definition).await?;
        state.last.as_ref().map(|last| last.health.clone()).ok_or_else(gone)
    }

    async fn unfindable_rows(&self, index: &IndexName, limit: u32) -> Result<Vec<Tid>, HostError> {
        let (_session, definition) = self.work.open(index, "measure").await?;
        let mut state = self.work.state.lock().await;
        let mut rows = self.work.lost_rows(&mut state, &definition).await?;
        rows.truncate(limit as usize);
        Ok(rows)
    }

    async fn past_duration_ms(&self, repair_type: &str) -> Option<u64> {
        match self.work.journal.past_duration_ms(repair_type).await {
            Ok(duration_ms) => duration_ms,
            Err(error) => {
                tracing::warn!(%error, "past durations could not be read");
                None
            }
        }
    }

    async fn build_beside(&self, index: &IndexName, options: BuildOptions) -> Result<Candidate, HostError> {
        let index = index.clone();
        self.act(move |work, state| actions::build_beside(work, state, index, options)).await
    }

    async fn compare(&self, candidate_id: u64) -> Result<Comparison, HostError> {
        self.act(move |work, state| actions::compare(work, state, candidate_id)).await
    }

    async fn swap(&self, candidate_id: u64) -> Result<(), HostError> {
        self.act(move |work, state| actions::swap(work, state, candidate_id)).await
    }

    async fn discard(&self, candidate_id: u64) -> Result<(), HostError> {
        self.act(move |work, state| actions::discard(work, state, candidate_id)).await
    }

    async fn reindex_concurrently(&self, index: &IndexName) -> Result<(), HostError> {
        let index = index.clone();
        self.act(move |work, state| actions::reindex_concurrently(work, state, index)).await
    }

    async fn vacuum(&self, index: &IndexName) -> Result<u64, HostError> {
        let index = index.clone();
        self.act(move |work, state| actions::vacuum(work, state, index)).await
    }

    async fn analyze(&self, index: &IndexName) -> Result<(), HostError> {
        let index = index.clone();
        self.act(move |work, state| actions::analyze(work, state, index)).await
    }

    async fn reinsert_rows(&self, index: &IndexName, rows: Vec<Tid>) -> Result<Reinsertion, HostError> {
        let index = index.clone();
        self.act(move |work, state| actions::reinsert_rows(work, state, index, rows)).await
    }

    async fn set_parameter(&self, name: &str, value: &str, scope: SettingScope) -> Result<(), HostError> {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.act(move |work, state| actions::set_parameter(work, state, name, value, scope)).await
    }

    async fn validate_on_scans(&self, index: &IndexName, value: u32) -> Result<(f64, f64), HostError> {
        if self.work.settings.dry_run {
            return Err(HostError::Denied("this is a dry run: no scans are made".to_owned()));
        }
        let (_session, definition) = self.work.open(index, "measure").await?;
        let mut state = self.work.state.lock().await;
        self.work.measure(&mut state, &definition).await?;
        actions::scan_quality(&self.work, &state, &definition, value).await
    }
}
