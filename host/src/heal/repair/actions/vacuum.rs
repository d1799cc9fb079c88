use std::sync::Arc;
use std::time::Instant;

use tokio::sync::OwnedMutexGuard;

use crate::components::HostError;
use crate::heal::repair::error::database_error;
use crate::heal::repair::host::Work;
use crate::heal::repair::session::ActionSession;
use crate::heal::repair::state::State;
use crate::model::{IndexDefinition, IndexName};
use crate::postgres::{Action, Step, Undo};

/// VACUUM of the table, its indexes cleaned whatever the number of dead rows. Gives the duration in ms.
pub async fn vacuum(work: Arc<Work>, mut state: OwnedMutexGuard<State>, index: IndexName) -> Result<u64, HostError> {
    let (session, definition) = work.open(&index, "vacuum").await?;
    check_privilege(&session, &definition).await?;
    let undo = Undo::Nothing { why: "vacuum removes only what no transaction can see".to_owned() };
    let step = Step::new(Action::Vacuum { index: definition.name.clone() }, undo)
        .on_object(&definition.name.table)
        .by_backend(session.backend.clone());
    let step_id = work.begin(&step).await?;
    session.set(&[("maintenance_work_mem", &work.settings.maintenance_work_mem)]).await?;
    state.forget();
    let begun = Instant::now();
    let sql = format!("VACUUM (INDEX_CLEANUP ON) {}", definition.name.qualified_table());
    match work.run_watched(&session, &sql, None).await {
        Ok(()) => {
            let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            work.done(step_id, None, &format!("{took_ms} ms")).await?;
            Ok(took_ms)
        }
        Err(error) => Err(work.failed(step_id, error).await),
    }
}

/// Without the privilege VACUUM and ANALYZE only warn, and do nothing.
pub async fn check_privilege(session: &ActionSession, index: &IndexDefinition) -> Result<(), HostError> {
    let row = session
        .query_one(
            "SELECT pg_has_role(c.relowner, 'USAGE')
                    OR pg_has_role((SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE')
                    OR CASE WHEN current_setting('server_version_num')::int >= 170000
                            THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END
               FROM pg_class AS c WHERE c.oid = $1",
            &[&index.name.table_oid],
        )
        .await
        .map_err(|e| database_error(&e))?;
    if row.get(0) {
        return Ok(());
    }
    Err(HostError::Denied(format!("this role may not vacuum or analyze {}", index.name.qualified_table())))
}
