use std::time::Duration;

use crate::components::HostError;
use crate::model::Progress;
use crate::postgres::{Connector, Journal, StepRecord, StepState, Undo};

use super::actions::{
    current_setting, drop_concurrently, drop_leftovers, restore_ef_construction, reverse_swap, setting_statement,
};
use super::error::{database_error, journal_error};
use super::session::{ActionSession, look_up_session};

const SWAP_BACK_LOCK_TIMEOUT: Duration = Duration::from_millis(500);
const SWAP_BACK_ATTEMPTS: u32 = 60;

/// What an undo did, step by step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UndoReport {
    pub undone: Vec<String>,
    /// What could not be taken back, and why; those steps stay open in the journal.
    pub failed: Vec<String>,
}

impl UndoReport {
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }

    /// One sentence for the history.
    pub fn summary(&self) -> String {
        match (self.undone.is_empty(), self.failed.is_empty()) {
            (true, true) => "there was nothing to take back".to_owned(),
            (_, true) => self.undone.join("; "),
            (_, false) => format!("not taken back: {}; taken back: {}", self.failed.join("; "), self.undone.join("; ")),
        }
    }
}

/// Takes the steps back in reverse order. A step that cannot be taken back does not keep the others from it, except
/// that the candidate stays while it bears the original's name.
pub(super) async fn undo_steps(
    connector: &Connector,
    journal: &Journal,
    steps: &[StepRecord],
    stall: Duration,
    progress: &dyn Progress,
) -> Result<UndoReport, HostError> {
    let mut report = UndoReport::default();
    let open: Vec<&StepRecord> =
        steps.iter().rev().filter(|s| matches!(s.state, StepState::Intended | StepState::Done)).collect();
    progress.phase("taking back", u64::try_from(open.len()).ok());
    let mut swapped = false;
    for (position, step) in (1..).zip(&open) {
        let keep_candidate = swapped && matches!(step.step.undo, Undo::DropCandidate { .. });
        let result = if keep_candidate {
            Err(HostError::Unknown("the candidate still bears the index's name".to_owned()))
        } else {
            undo_step(connector, step, stall).await
        };
        match result {
            Ok(what) => {
                let note = match (&what, &step.step.undo) {
                    (Some(what), _) => what.clone(),
                    (None, Undo::Nothing { why }) => format!("nothing is taken back: {why}"),
                    (None, _) => String::new(),
                };
                journal.mark_undone(step.id, &note).await.map_err(journal_error)?;
                report.undone.extend(what);
            }
            Err(error) => {
                swapped |= matches!(step.step.undo, Undo::ReverseSwap { .. });
                report.failed.push(format!("{}: {error}", step.step.action.name()));
            }
        }
        progress.done(position);
    }
    Ok(report)
}

/// Gives what was done, None where nothing had to be.
async fn undo_step(connector: &Connector, step: &StepRecord, stall: Duration) -> Result<Option<String>, HostError> {
    match &step.step.undo {
        Undo::Nothing { .. } => Ok(None),
        Undo::DropCandidate { schema, name, table_oid } => {
            if !is_index_of(connector, schema, name, *table_oid).await? {
                return Ok(None);
            }
            let dropped = drop_concurrently(connector, schema, name, stall).await?;
            Ok(dropped.then(|| format!("the candidate {name} was dropped")))
        }
        Undo::ReverseSwap { original_name, .. } => {
            let reversed =
                reverse_swap(connector, step.id, &step.step.undo, SWAP_BACK_LOCK_TIMEOUT, SWAP_BACK_ATTEMPTS).await?;
            Ok(reversed.then(|| format!("the old index is {original_name} again")))
        }
        Undo::DropLeftovers { schema, name, table_oid, oids_before } => {
            if step.state == StepState::Done {
                // The operator consented to that.
                return Ok(Some(format!("the finished REINDEX of {name} stays: it has no undo")));
            }
            let dropped = drop_leftovers(connector, schema, name, *table_oid, oids_before, stall).await?;
            Ok((!dropped.is_empty()).then(|| format!("leftovers of REINDEX were dropped: {}", dropped.join(", "))))
        }
        Undo::RestoreSetting { name, made, previous, role } => {
            restore_setting(connector, name, made, previous.as_deref(), role.as_deref()).await
        }
        undo @ Undo::RestoreEfConstruction { .. } => restore_ef_construction(connector, undo).await,
    }
}

async fn is_index_of(connector: &Connector, schema: &str, name: &str, table_oid: u32) -> Result<bool, HostError> {
    let session = look_up_session(connector).await?;
    let row = session
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                                   JOIN pg_index AS x ON x.indexrelid = c.oid
                             WHERE n.nspname = $1 AND c.relname = $2 AND x.indrelid = $3)",
            &[&schema, &name, &table_oid],
        )
        .await
        .map_err(|e| database_error(&e))?;
    Ok(row.get(0))
}

async fn restore_setting(
    connector: &Connector,
    name: &str,
    made: &str,
    previous: Option<&str>,
    role: Option<&str>,
) -> Result<Option<String>, HostError> {
    let session = ActionSession::open(connector, "parameter").await?;
    let now = current_setting(&session, name, role).await?;
    if now.as_deref() == previous {
        return Ok(None);
    }
    if now.as_deref() != Some(made) {
        // Somebody set it since; theirs stands.
        return Ok(Some(format!(
            "{name} was set to {} by somebody else and is left so",
            now.as_deref().unwrap_or("its default")
        )));
    }
    let statement = setting_statement(&session, name, previous, role).await?;
    session.run(&statement).await?;
    Ok(Some(format!("{name} is {} again", previous.unwrap_or("unset"))))
}
