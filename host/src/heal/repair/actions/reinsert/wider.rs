use std::time::Duration;

use crate::components::HostError;
use crate::heal::repair::error::journal_error;
use crate::heal::repair::host::Work;
use crate::heal::repair::session::ActionSession;
use crate::model::{IndexDefinition, quote_identifier};
use crate::postgres::{Action, Connector, Step, Undo, index_definition};

/// Insertions look at so many elements while rows are put in that a normal insertion did not help. Measured: 200 is
/// enough for every trial, and an insertion costs little more, since most of it is writing its neighbours' links.
const WIDE: u32 = 200;
const OPTION: &str = "ef_construction";
/// pgvector's default.
const DEFAULT_EF_CONSTRUCTION: u32 = 64;
/// A lock that is not free at once: the rows are put in without, which is worth less, but harms nobody.
const RAISE_ATTEMPTS: u32 = 3;
const RESTORE_ATTEMPTS: u32 = 60;
const PAUSE: Duration = Duration::from_millis(100);

/// The index's `ef_construction` while it is raised: a step of its own in the journal, so that it is taken back
/// whatever happens.
pub struct Wider {
    step_id: i64,
    undo: Undo,
}

impl Wider {
    /// Raises it. None where it is wide already, may not be altered by this role, or its lock is not free: ALTER INDEX
    /// waits for the statements that use the index, and others would wait behind it.
    pub async fn raise(
        work: &Work,
        session: &ActionSession,
        index: &IndexDefinition,
    ) -> Result<Option<Self>, HostError> {
        let previous = option(index);
        if previous.unwrap_or(DEFAULT_EF_CONSTRUCTION) >= WIDE {
            return Ok(None);
        }
        let undo = Undo::RestoreEfConstruction { index_oid: index.name.oid, made: WIDE, previous };
        let action = Action::RaiseEfConstruction { index: index.name.clone(), value: WIDE };
        let step = Step::new(action, undo.clone()).on_object(&index.name.name).by_backend(session.backend.clone());
        let step_id = work.begin(&step).await?;
        match alter(session, index, Some(WIDE), RAISE_ATTEMPTS).await {
            Ok(()) => {
                work.done(step_id, None, "").await?;
                Ok(Some(Wider { step_id, undo }))
            }
            Err(error @ (HostError::NotNow(_) | HostError::Denied(_))) if !session.is_closed() => {
                tracing::info!(index = %index.name, "rows are put in with the index's own {OPTION}: {error}");
                work.journal.fail_step(step_id, &error.to_string()).await.map_err(journal_error)?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes it back; where that fails the step stays open, and the rollback or the next start takes it back.
    pub async fn restore(self, work: &Work) -> Result<(), HostError> {
        let note = restore(&work.connector, &self.undo).await?;
        work.journal.mark_undone(self.step_id, note.as_deref().unwrap_or("")).await.map_err(journal_error)
    }
}

/// Gives the index the `ef_construction` that it had, unless somebody else altered or dropped it meanwhile.
pub async fn restore(connector: &Connector, undo: &Undo) -> Result<Option<String>, HostError> {
    let Undo::RestoreEfConstruction { index_oid, made, previous } = undo else {
        return Err(HostError::Unknown("this is not the undo of a raised ef_construction".to_owned()));
    };
    let session = ActionSession::open(connector, "ef_construction").await?;
    let index = index_definition(&session, *index_oid).await.map_err(|e| HostError::Unknown(e.to_string()))?;
    let Some(index) = index.filter(|index| option(index) == Some(*made)) else { return Ok(None) };
    alter(&session, &index, *previous, RESTORE_ATTEMPTS).await?;
    Ok(Some(match previous {
        Some(previous) => format!("{OPTION} of {} is {previous} again", index.name),
        None => format!("{OPTION} of {} is unset again", index.name),
    }))
}

async fn alter(
    session: &ActionSession,
    index: &IndexDefinition,
    value: Option<u32>,
    attempts: u32,
) -> Result<(), HostError> {
    let sql = statement(&index.name.schema, &index.name.name, value);
    session.set(&[("lock_timeout", "100ms")]).await?;
    for attempt in 1.. {
        match session.run(&sql).await {
            Err(HostError::NotNow(_)) if attempt < attempts && !session.is_closed() => {
                tokio::time::sleep(PAUSE).await;
            }
            other => return other,
        }
    }
    Ok(())
}

fn statement(schema: &str, name: &str, value: Option<u32>) -> String {
    let index = format!("{}.{}", quote_identifier(schema), quote_identifier(name));
    match value {
        Some(value) => format!("ALTER INDEX {index} SET ({OPTION} = {value})"),
        None => format!("ALTER INDEX {index} RESET ({OPTION})"),
    }
}

fn option(index: &IndexDefinition) -> Option<u32> {
    index.reloptions.iter().find(|(name, _)| name == OPTION).and_then(|(_, value)| value.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_set_and_taken_back() {
        let check = |value, expected: &str| assert_eq!(statement("my app", "i", value), expected);
        check(Some(200), "ALTER INDEX \"my app\".\"i\" SET (ef_construction = 200)");
        check(None, "ALTER INDEX \"my app\".\"i\" RESET (ef_construction)");
    }
}
