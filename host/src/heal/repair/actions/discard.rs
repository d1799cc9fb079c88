use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use crate::components::HostError;
use crate::failpoint;
use crate::heal::repair::error::journal_error;
use crate::heal::repair::host::Work;
use crate::heal::repair::state::State;
use crate::postgres::{Action, Step, Undo};

use super::compare::{candidate_step, no_candidate};
use super::drop_concurrently;

/// Drops a candidate that is not wanted.
pub async fn discard(work: Arc<Work>, mut state: OwnedMutexGuard<State>, candidate_id: u64) -> Result<(), HostError> {
    let build = candidate_step(candidate_id)?;
    let name = state.candidates.get(&build).ok_or_else(no_candidate)?.name.clone();
    let schema = work.index.as_ref().ok_or_else(no_candidate)?.name.schema.clone();
    let undo = Undo::Nothing { why: "a discarded candidate served nothing".to_owned() };
    let step = Step::new(Action::Discard { build, candidate: name.clone() }, undo).on_object(&name);
    let step_id = work.begin(&step).await?;
    failpoint::hit("before_drop");
    match drop_concurrently(&work.connector, &schema, &name, work.settings.stall_limit).await {
        Ok(_) => {}
        Err(error) => return Err(work.failed(step_id, error).await),
    }
    failpoint::hit("after_drop");
    state.candidates.remove(&build);
    work.done(step_id, None, "").await?;
    work.journal.mark_undone(build, "discarded").await.map_err(journal_error)
}
