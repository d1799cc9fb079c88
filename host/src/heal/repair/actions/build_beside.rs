use std::sync::Arc;
use std::time::Instant;

use tokio::sync::OwnedMutexGuard;

use crate::components::{BuildOptions, Candidate, HostError};
use crate::failpoint;
use crate::heal::repair::error::database_error;
use crate::heal::repair::host::Work;
use crate::heal::repair::names::candidate_name;
use crate::heal::repair::preconditions::check_build;
use crate::heal::repair::refusals::refusals;
use crate::heal::repair::session::ActionSession;
use crate::heal::repair::state::{BuiltCandidate, State, unused_name};
use crate::heal::repair::statement::IndexParts;
use crate::model::{IndexDefinition, IndexName};
use crate::postgres::{Action, Step, Undo};

use super::drop_concurrently;

/// Builds the same index, perhaps with other options, under a name of our own. It is dropped again unless it is
/// valid, ready and live in the end.
pub async fn build_beside(
    work: Arc<Work>,
    mut state: OwnedMutexGuard<State>,
    index: IndexName,
    options: BuildOptions,
) -> Result<Candidate, HostError> {
    let (session, definition) = work.open(&index, "build").await?;
    if let Some(reason) = refusals(&session, &definition, &work.settings).await?.rebuild {
        return Err(HostError::Denied(format!("{} cannot be rebuilt beside: {reason}", definition.name)));
    }
    check_build(&session, &definition, &work.settings).await?;
    let parts = IndexParts::read(&session, definition.name.oid).await?.with_options(options);
    let repair_id = work.repair_id;
    let original = &definition.name.name;
    let name = unused_name(&session, &parts.schema, &mut state, |n| candidate_name(original, repair_id, n)).await?;
    let statement = parts.create_statement(&name);
    let undo =
        Undo::DropCandidate { schema: parts.schema.clone(), name: name.clone(), table_oid: definition.name.table_oid };
    let action =
        Action::BuildBeside { index: definition.name.clone(), candidate: name.clone(), statement: statement.clone() };
    let step = Step::new(action, undo).on_object(&name).by_backend(session.backend.clone());
    let step_id = work.begin(&step).await?;
    failpoint::hit("before_build");
    let begun = Instant::now();
    match build(&work, &session, &definition, &parts, &name, &statement).await {
        Ok((oid, size_bytes)) => {
            failpoint::hit("after_build");
            let build_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            work.done(step_id, Some(oid), &format!("{size_bytes} bytes in {build_ms} ms")).await?;
            state.candidates.insert(step_id, BuiltCandidate { oid, name: name.clone(), gate_passed: None });
            Ok(Candidate { id: step_id.unsigned_abs(), name, size_bytes, build_ms })
        }
        Err(error) => {
            // What cannot be dropped now stays an open step of the journal, for the undo.
            match drop_concurrently(&work.connector, &parts.schema, &name, work.settings.stall_limit).await {
                Ok(_) => Err(work.failed(step_id, error).await),
                Err(drop) => Err(HostError::Unknown(format!("{error}; its leftover stays: {drop}"))),
            }
        }
    }
}

async fn build(
    work: &Work,
    session: &ActionSession,
    index: &IndexDefinition,
    parts: &IndexParts,
    name: &str,
    statement: &str,
) -> Result<(u32, u64), HostError> {
    let workers = work.settings.build_workers.to_string();
    session
        .set(&[
            ("maintenance_work_mem", &work.settings.maintenance_work_mem),
            ("max_parallel_maintenance_workers", &workers),
        ])
        .await?;
    work.run_watched(session, statement, Some("during_build")).await?;
    let row = session
        .query_opt(
            "SELECT c.oid, pg_relation_size(c.oid), x.indisvalid AND x.indisready AND x.indislive
               FROM pg_class AS c JOIN pg_index AS x ON x.indexrelid = c.oid
                    JOIN pg_namespace AS n ON n.oid = c.relnamespace
              WHERE n.nspname = $1 AND c.relname = $2 AND x.indrelid = $3",
            &[&parts.schema, &name, &index.name.table_oid],
        )
        .await
        .map_err(|e| database_error(&e))?;
    let Some(row) = row.filter(|row| row.get(2)) else {
        return Err(HostError::Unknown("the build ended without a valid index".to_owned()));
    };
    for statement in parts.finishing_statements(name) {
        session.run(&statement).await?;
    }
    if parts.is_expression {
        // Statistics of an expression belong to its index; without them the planner guesses anew.
        work.run_watched(session, &format!("ANALYZE {}", parts.table), None).await?;
    }
    Ok((row.get(0), u64::try_from(row.get::<_, i64>(1)).unwrap_or(0)))
}
