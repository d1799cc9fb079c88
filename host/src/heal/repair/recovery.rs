use std::time::{Duration, Instant};

use crate::components::HostError;
use crate::failpoint;
use crate::model::{Outcome, Silent};
use crate::postgres::journal::Attempt;
use crate::postgres::{Action, Backend, Connector, Journal, StepRecord, StepState};

use super::actions::drop_concurrently;
use super::error::{database_error, journal_error};
use super::session::look_up_session;
use super::settings::RepairSettings;
use super::undo::undo_steps;

/// How long a cancelled backend may take to end before it is terminated, and after that before it is given up.
const BACKEND_PATIENCE: Duration = Duration::from_secs(60);
const BACKEND_POLL: Duration = Duration::from_millis(100);

/// How an attempt that was found open in the journal was resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    pub repair_id: i64,
    pub index: Option<String>,
    pub strategy: String,
    pub outcome: Outcome,
    pub reason: String,
}

/// A replaced index whose rollback window ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    pub repair_id: i64,
    pub kept_name: String,
    /// Why it could not be dropped now; it is tried again.
    pub failed: Option<String>,
}

/// Resolves every attempt that an earlier pgheal left open, to done or undone, and writes that to the history. For
/// the leader only: another one's attempts are not open, but under way. Fails with `NotNow` where it does not lead.
pub async fn recover(connector: &Connector, journal: &Journal) -> Result<Vec<Recovery>, HostError> {
    if !journal.acquire_leadership().await.map_err(journal_error)? {
        return Err(HostError::NotNow("another pgheal repairs this database, or the server is in recovery".to_owned()));
    }
    let mut recoveries = Vec::new();
    for attempt in journal.open_attempts().await.map_err(journal_error)? {
        let (outcome, reason) = resolve(connector, journal, &attempt).await?;
        journal
            .finish_repair(attempt.repair_id, outcome, None, &reason, &serde_json::Value::Null)
            .await
            .map_err(journal_error)?;
        recoveries.push(Recovery {
            repair_id: attempt.repair_id,
            index: attempt.index_name,
            strategy: attempt.strategy,
            outcome,
            reason,
        });
    }
    Ok(recoveries)
}

async fn resolve(connector: &Connector, journal: &Journal, attempt: &Attempt) -> Result<(Outcome, String), HostError> {
    for step in attempt.steps.iter().filter(|step| step.state == StepState::Intended) {
        if let Some(backend) = &step.step.backend {
            end_backend(connector, backend).await?;
        }
    }
    if !attempt.rolling_back
        && let Some(reason) = finished_swap(&attempt.steps)
    {
        return Ok((Outcome::Healed, format!("pgheal ended after the swap; the gate had been passed: {reason}")));
    }
    let stall = RepairSettings::default().stall_limit;
    let report = undo_steps(connector, journal, &attempt.steps, stall, &Silent).await?;
    let outcome = if report.is_complete() { Outcome::RolledBack } else { Outcome::RollbackFailed };
    let last = attempt.steps.last().map_or("before its first step".to_owned(), |step| {
        format!("at the step {} ({})", step.step.action.name(), step.state.name())
    });
    let when = if attempt.rolling_back { "during its rollback" } else { &last };
    Ok((outcome, format!("pgheal ended {when}; {}", report.summary())))
}

/// The verdict with which the last swap was made, if it took place: its transaction closed the step.
fn finished_swap(steps: &[StepRecord]) -> Option<String> {
    let swap = steps
        .iter()
        .rposition(|step| step.state == StepState::Done && matches!(step.step.action, Action::Swap { .. }))?;
    steps[..swap].iter().rev().find_map(|step| match &step.step.action {
        Action::Compare { gate_passed: true, reason, .. } => Some(reason.clone()),
        _ => None,
    })
}

/// A statement goes on in its backend after its client was killed. It is cancelled, and this returns when it is
/// gone: so nothing is built twice, and what it leaves can be dropped.
async fn end_backend(connector: &Connector, backend: &Backend) -> Result<(), HostError> {
    let session = look_up_session(connector).await?;
    let begun = Instant::now();
    let mut asked = "pg_cancel_backend";
    loop {
        let found = session
            .query_opt(
                &format!(
                    "SELECT {asked}(pid) FROM pg_stat_activity
                      WHERE pid = $1 AND backend_start = $2::text::timestamptz AND application_name LIKE 'pgheal %'
                        AND pid <> pg_backend_pid()"
                ),
                &[&backend.pid, &backend.started_at],
            )
            .await
            .map_err(|e| database_error(&e))?;
        if found.is_none() {
            return Ok(());
        }
        if begun.elapsed() > BACKEND_PATIENCE {
            // Our own backend, whose client is dead.
            asked = "pg_terminate_backend";
        }
        if begun.elapsed() > 2 * BACKEND_PATIENCE {
            return Err(HostError::NotNow(format!("backend {} of an earlier pgheal does not end", backend.pid)));
        }
        tokio::time::sleep(BACKEND_POLL).await;
    }
}

/// Drops the replaced indexes whose rollback window ended and whose repair is finished. For the leader only.
pub async fn drop_expired(connector: &Connector, journal: &Journal) -> Result<Vec<Expired>, HostError> {
    if !journal.acquire_leadership().await.map_err(journal_error)? {
        return Err(HostError::NotNow("another pgheal repairs this database, or the server is in recovery".to_owned()));
    }
    let stall = RepairSettings::default().stall_limit;
    let mut dropped = Vec::new();
    for kept in journal.kept_indexes().await.map_err(journal_error)? {
        if !kept.expired || kept.in_progress {
            continue;
        }
        failpoint::hit("before_drop");
        let failed = match still_ours(connector, kept.index_oid, &kept.kept_name).await {
            Ok(true) => drop_concurrently(connector, &kept.schema, &kept.kept_name, stall).await.err(),
            // Renamed or dropped by somebody: not ours any more.
            Ok(false) => None,
            Err(error) => Some(error),
        };
        failpoint::hit("after_drop");
        if failed.is_none() {
            journal.forget_kept(kept.step_id).await.map_err(journal_error)?;
        }
        dropped.push(Expired {
            repair_id: kept.repair_id,
            kept_name: kept.kept_name,
            failed: failed.map(|error| error.to_string()),
        });
    }
    Ok(dropped)
}

async fn still_ours(connector: &Connector, oid: u32, name: &str) -> Result<bool, HostError> {
    let session = look_up_session(connector).await?;
    let row = session
        .query_one("SELECT EXISTS (SELECT FROM pg_class WHERE oid = $1 AND relname = $2)", &[&oid, &name])
        .await
        .map_err(|e| database_error(&e))?;
    Ok(row.get(0))
}
