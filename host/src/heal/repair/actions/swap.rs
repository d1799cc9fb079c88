use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio_postgres::Transaction;

use crate::components::HostError;
use crate::failpoint;
use crate::heal::repair::error::{database_error, journal_error};
use crate::heal::repair::host::Work;
use crate::heal::repair::names::kept_name;
use crate::heal::repair::session::ActionSession;
use crate::heal::repair::state::{State, unused_name};
use crate::model::quote_identifier;
use crate::postgres::{Action, Connector, Journal, Step, Undo};

use super::compare::{candidate_step, no_candidate};
use super::replan::replan;

/// The longest pause between two tries of a short change.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The candidate takes the index's name, the index a name of our own under which it is kept until the rollback
/// window ends. One short transaction, which also closes the step in the journal: it happened wholly or not at all.
pub async fn swap(work: Arc<Work>, mut state: OwnedMutexGuard<State>, candidate_id: u64) -> Result<(), HostError> {
    let build = candidate_step(candidate_id)?;
    let candidate = state.candidates.get(&build).ok_or_else(no_candidate)?;
    let (candidate_oid, candidate_name) = (candidate.oid, candidate.name.clone());
    match candidate.gate_passed {
        Some(true) => {}
        Some(false) => return Err(HostError::GateFailed("the comparison did not pass the gate".to_owned())),
        None => return Err(HostError::GateFailed("the candidate was not compared yet".to_owned())),
    }
    let original = work.index.as_ref().ok_or_else(no_candidate)?;
    let (mut session, old) = work.open(&original.name, "swap").await?;
    let (repair_id, original_name) = (work.repair_id, old.name.name.clone());
    let kept = unused_name(&session, &old.name.schema, &mut state, |n| kept_name(&original_name, repair_id, n)).await?;
    // An index that the planner ignores is still maintained: it can come back at any time.
    let invalidate = may_write_catalog(&session).await?;
    let names = Names {
        schema: old.name.schema.clone(),
        original: original_name,
        original_oid: old.name.oid,
        kept: kept.clone(),
        candidate: candidate_name.clone(),
        candidate_oid,
    };
    let action = Action::Swap { index: old.name.clone(), candidate: candidate_name, candidate_oid, kept_name: kept };
    let step = Step::new(action, names.undo(invalidate)).on_object(&names.original).by_backend(session.backend.clone());
    let step_id = work.begin(&step).await?;
    failpoint::hit("before_swap");
    let tries = Tries { lock_timeout: work.settings.lock_timeout, attempts: work.settings.lock_attempts };
    let change = Change::Forth { invalidate, window: work.settings.rollback_window };
    let swapped = in_short_transaction(&mut session, tries, &names, change, step_id).await;
    match swapped {
        Ok(()) => {}
        // A commit whose answer was lost stays an open step: the undo looks at the catalog.
        Err(error @ HostError::NotNow(_)) if session.is_closed() => return Err(error),
        Err(error) => return Err(work.failed(step_id, error).await),
    }
    failpoint::hit("after_swap");
    if let Err(error) = replan(&session, old.name.table_oid, work.settings.lock_timeout).await {
        tracing::info!(index = %old.name, %error, "prepared statements may use the old index until it is dropped");
    }
    state.candidates.remove(&build);
    state.forget();
    Ok(())
}

/// Gives both names back, and the old index its validity, if the swap took place. True where it had.
pub async fn reverse_swap(
    connector: &Connector,
    step_id: i64,
    undo: &Undo,
    lock_timeout: Duration,
    attempts: u32,
) -> Result<bool, HostError> {
    let Undo::ReverseSwap { schema, original_name, original_oid, kept_name, candidate, candidate_oid, invalidated } =
        undo
    else {
        return Err(HostError::Unknown("this is not the undo of a swap".to_owned()));
    };
    let names = Names {
        schema: schema.clone(),
        original: original_name.clone(),
        original_oid: *original_oid,
        kept: kept_name.clone(),
        candidate: candidate.clone(),
        candidate_oid: *candidate_oid,
    };
    let mut session = ActionSession::open(connector, "swap back").await?;
    match names.name_of(&session, names.original_oid).await? {
        Some(name) if name == names.original => return Ok(false),
        Some(name) if name == names.kept => {}
        Some(name) => {
            return Err(HostError::Unknown(format!("the old index is called {name} now: somebody renamed it")));
        }
        None => return Err(HostError::Unknown("the old index does not exist any more".to_owned())),
    }
    let tries = Tries { lock_timeout, attempts };
    let change = Change::Back { validate: *invalidated };
    in_short_transaction(&mut session, tries, &names, change, step_id).await?;
    Ok(true)
}

struct Names {
    schema: String,
    original: String,
    original_oid: u32,
    kept: String,
    candidate: String,
    candidate_oid: u32,
}

impl Names {
    fn undo(&self, invalidated: bool) -> Undo {
        Undo::ReverseSwap {
            schema: self.schema.clone(),
            original_name: self.original.clone(),
            original_oid: self.original_oid,
            kept_name: self.kept.clone(),
            candidate: self.candidate.clone(),
            candidate_oid: self.candidate_oid,
            invalidated,
        }
    }

    async fn swap(
        &self,
        transaction: &Transaction<'_>,
        step_id: i64,
        invalidate: bool,
        window: Duration,
    ) -> Result<(), HostError> {
        self.check(transaction).await?;
        rename(transaction, &self.schema, &self.original, &self.kept).await?;
        rename(transaction, &self.schema, &self.candidate, &self.original).await?;
        if invalidate {
            set_valid(transaction, self.original_oid, false).await?;
        }
        let (kept, original) = (&self.kept, &self.original);
        Journal::record_swap(transaction, step_id, self.original_oid, &self.schema, kept, original, window)
            .await
            .map_err(journal_error)
    }

    async fn swap_back(&self, transaction: &Transaction<'_>, step_id: i64, validate: bool) -> Result<(), HostError> {
        // Where the new one was dropped meanwhile, the name is free.
        if self.name_in(transaction, self.candidate_oid).await?.as_ref() == Some(&self.original) {
            rename(transaction, &self.schema, &self.original, &self.candidate).await?;
        }
        rename(transaction, &self.schema, &self.kept, &self.original).await?;
        if validate {
            set_valid(transaction, self.original_oid, true).await?;
        }
        Journal::record_swap_back(transaction, step_id).await.map_err(journal_error)
    }

    /// Both indexes still bear the names that they had when the step was written, and the candidate is usable.
    async fn check(&self, transaction: &Transaction<'_>) -> Result<(), HostError> {
        let old_name = self.name_in(transaction, self.original_oid).await?;
        let new_name = self.name_in(transaction, self.candidate_oid).await?;
        if old_name.as_ref() != Some(&self.original) || new_name.as_ref() != Some(&self.candidate) {
            return Err(HostError::NotNow("somebody renamed or dropped one of the two indexes".to_owned()));
        }
        let usable: bool = transaction
            .query_one(
                "SELECT indisvalid AND indisready AND indislive FROM pg_index WHERE indexrelid = $1",
                &[&self.candidate_oid],
            )
            .await
            .map_err(|e| database_error(&e))?
            .get(0);
        if usable { Ok(()) } else { Err(HostError::GateFailed("the candidate is not valid any more".to_owned())) }
    }

    async fn name_in(&self, transaction: &Transaction<'_>, oid: u32) -> Result<Option<String>, HostError> {
        let row = transaction.query_opt(NAME, &[&oid]).await.map_err(|e| database_error(&e))?;
        Ok(row.map(|row| row.get(0)))
    }

    async fn name_of(&self, session: &ActionSession, oid: u32) -> Result<Option<String>, HostError> {
        let row = session.query_opt(NAME, &[&oid]).await.map_err(|e| database_error(&e))?;
        Ok(row.map(|row| row.get(0)))
    }
}

const NAME: &str = "SELECT relname::text FROM pg_class WHERE oid = $1 AND relkind = 'i'";

async fn rename(transaction: &Transaction<'_>, schema: &str, from: &str, to: &str) -> Result<(), HostError> {
    let sql = format!(
        "ALTER INDEX {}.{} RENAME TO {}",
        quote_identifier(schema),
        quote_identifier(from),
        quote_identifier(to)
    );
    transaction.batch_execute(&sql).await.map_err(|e| database_error(&e))
}

/// Only the planner looks at `indisvalid`; inserts and vacuum go by `indisready`.
async fn set_valid(transaction: &Transaction<'_>, oid: u32, valid: bool) -> Result<(), HostError> {
    transaction
        .execute("UPDATE pg_index SET indisvalid = $2 WHERE indexrelid = $1", &[&oid, &valid])
        .await
        .map_err(|e| database_error(&e))?;
    Ok(())
}

async fn may_write_catalog(session: &ActionSession) -> Result<bool, HostError> {
    let row = session
        .query_one("SELECT coalesce((SELECT rolsuper FROM pg_roles WHERE rolname = current_user), false)", &[])
        .await
        .map_err(|e| database_error(&e))?;
    Ok(row.get(0))
}

#[derive(Clone, Copy)]
struct Tries {
    lock_timeout: Duration,
    attempts: u32,
}

#[derive(Clone, Copy)]
enum Change {
    Forth { invalidate: bool, window: Duration },
    Back { validate: bool },
}

/// Makes the change in one transaction whose locks nobody else waits for longer than the lock timeout; where a lock
/// is not free, it is tried again after a growing pause.
async fn in_short_transaction(
    session: &mut ActionSession,
    tries: Tries,
    names: &Names,
    change: Change,
    step_id: i64,
) -> Result<(), HostError> {
    let timeout = format!("{}ms", tries.lock_timeout.as_millis().max(1));
    session.set(&[("lock_timeout", &timeout), ("synchronous_commit", "on")]).await?;
    let mut pause = tries.lock_timeout;
    for attempt in 1.. {
        let transaction = session.session_mut().client_mut().transaction().await.map_err(|e| database_error(&e))?;
        let changed = match change {
            Change::Forth { invalidate, window } => names.swap(&transaction, step_id, invalidate, window).await,
            Change::Back { validate } => names.swap_back(&transaction, step_id, validate).await,
        };
        let result = match changed {
            Ok(()) => transaction.commit().await.map_err(|e| database_error(&e)),
            Err(error) => {
                // A failed rollback means a lost session: the transaction is gone with it.
                let _ = transaction.rollback().await;
                Err(error)
            }
        };
        match result {
            Err(HostError::NotNow(_)) if attempt < tries.attempts && !session.is_closed() => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
            other => return other,
        }
    }
    Ok(())
}
