use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use crate::components::HostError;
use crate::heal::repair::error::database_error;
use crate::heal::repair::host::Work;
use crate::heal::repair::preconditions::check_build;
use crate::heal::repair::state::State;
use crate::model::IndexName;
use crate::postgres::{Action, Step, Undo};

use super::{drop_leftovers, table_indexes};

/// REINDEX INDEX CONCURRENTLY: nothing is left to go back to, so it needs the operator's consent. What a failed one
/// leaves is dropped.
pub async fn reindex_concurrently(
    work: Arc<Work>,
    mut state: OwnedMutexGuard<State>,
    index: IndexName,
) -> Result<(), HostError> {
    if !work.settings.consents.irreversible {
        return Err(HostError::Denied(
            "REINDEX CONCURRENTLY cannot be undone and needs the operator's consent (irreversible)".to_owned(),
        ));
    }
    let (session, definition) = work.open(&index, "reindex").await?;
    check_build(&session, &definition, &work.settings).await?;
    let name = &definition.name;
    let oids_before = table_indexes(&session, name.table_oid).await?;
    let undo = Undo::DropLeftovers {
        schema: name.schema.clone(),
        name: name.name.clone(),
        table_oid: name.table_oid,
        oids_before: oids_before.clone(),
    };
    let step = Step::new(Action::ReindexConcurrently { index: name.clone() }, undo)
        .on_object(&name.name)
        .by_backend(session.backend.clone());
    let step_id = work.begin(&step).await?;
    let workers = work.settings.build_workers.to_string();
    session
        .set(&[
            ("maintenance_work_mem", &work.settings.maintenance_work_mem),
            ("max_parallel_maintenance_workers", &workers),
        ])
        .await?;
    state.forget();
    let reindexed = work.run_watched(&session, &format!("REINDEX INDEX CONCURRENTLY {name}"), None).await;
    if let Err(error) = reindexed {
        let stall = work.settings.stall_limit;
        return match drop_leftovers(&work.connector, &name.schema, &name.name, name.table_oid, &oids_before, stall)
            .await
        {
            Ok(_) => Err(work.failed(step_id, error).await),
            Err(drop) => Err(HostError::Unknown(format!("{error}; its leftover stays: {drop}"))),
        };
    }
    let row = session
        .query_one(
            "SELECT c.oid, x.indisvalid AND x.indisready AND x.indislive FROM pg_class AS c
                    JOIN pg_index AS x ON x.indexrelid = c.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace
              WHERE n.nspname = $1 AND c.relname = $2",
            &[&name.schema, &name.name],
        )
        .await
        .map_err(|e| database_error(&e))?;
    if !row.get::<_, bool>(1) {
        return Err(work.failed(step_id, HostError::Unknown(format!("{name} is not valid after REINDEX"))).await);
    }
    work.done(step_id, Some(row.get(0)), "").await
}
