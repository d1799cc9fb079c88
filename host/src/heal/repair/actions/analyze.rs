use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use crate::components::HostError;
use crate::heal::repair::host::Work;
use crate::heal::repair::state::State;
use crate::model::IndexName;
use crate::postgres::{Action, Step, Undo};

use super::vacuum::check_privilege;

/// ANALYZE of the table, with the expressions of its indexes.
pub async fn analyze(work: Arc<Work>, _state: OwnedMutexGuard<State>, index: IndexName) -> Result<(), HostError> {
    let (session, definition) = work.open(&index, "analyze").await?;
    check_privilege(&session, &definition).await?;
    let undo = Undo::Nothing { why: "statistics are replaced by the next analyze anyway".to_owned() };
    let step = Step::new(Action::Analyze { index: definition.name.clone() }, undo)
        .on_object(&definition.name.table)
        .by_backend(session.backend.clone());
    let step_id = work.begin(&step).await?;
    match work.run_watched(&session, &format!("ANALYZE {}", definition.name.qualified_table()), None).await {
        Ok(()) => work.done(step_id, None, "").await,
        Err(error) => Err(work.failed(step_id, error).await),
    }
}
