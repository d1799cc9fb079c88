use serde_json::Value;
use tokio_postgres::Row;

use super::{Action, Backend, Journal, JournalError, Step, StepRecord, StepState, Undo};

const COLUMNS: &str =
    "id, repair_id, seq, action, undo, state, object_name, object_oid, backend_pid, backend_start::text, note";

impl Journal {
    /// Writes what is about to be done and its undo, durably, before it is done.
    pub async fn begin_step(&self, repair_id: i64, step: &Step) -> Result<i64, JournalError> {
        self.insert_step(repair_id, step, StepState::Intended).await
    }

    /// Writes a step that changes nothing outside the journal, such as a verdict.
    pub async fn note_step(&self, repair_id: i64, step: &Step) -> Result<i64, JournalError> {
        self.insert_step(repair_id, step, StepState::Done).await
    }

    async fn insert_step(&self, repair_id: i64, step: &Step, state: StepState) -> Result<i64, JournalError> {
        let action = serde_json::to_value(&step.action)?;
        let undo = serde_json::to_value(&step.undo)?;
        let backend_pid = step.backend.as_ref().map(|b| b.pid);
        let backend_start = step.backend.as_ref().map(|b| b.started_at.as_str());
        let session = self.session().await?;
        let row = session
            .query_one(
                "INSERT INTO pgheal.journal (repair_id, seq, action, undo, state, object_name, backend_pid, backend_start, ended_at)
                 SELECT $1, coalesce(max(seq), 0) + 1, $2, $3, $4, $5, $6, $7::text::timestamptz,
                        CASE WHEN $4 = 'done' THEN now() END
                   FROM pgheal.journal WHERE repair_id = $1
                 RETURNING id",
                &[&repair_id, &action, &undo, &state.name(), &step.object_name, &backend_pid, &backend_start],
            )
            .await?;
        Ok(row.get(0))
    }

    /// The step was done; `object_oid` is what it made.
    pub async fn finish_step(&self, step_id: i64, object_oid: Option<u32>, note: &str) -> Result<(), JournalError> {
        self.end_step(step_id, StepState::Done, object_oid, note).await
    }

    /// The step failed and left nothing behind.
    pub async fn fail_step(&self, step_id: i64, note: &str) -> Result<(), JournalError> {
        self.end_step(step_id, StepState::Failed, None, note).await
    }

    pub async fn mark_undone(&self, step_id: i64, note: &str) -> Result<(), JournalError> {
        self.end_step(step_id, StepState::Undone, None, note).await
    }

    async fn end_step(
        &self,
        step_id: i64,
        state: StepState,
        object_oid: Option<u32>,
        note: &str,
    ) -> Result<(), JournalError> {
        let session = self.session().await?;
        session
            .execute(
                "UPDATE pgheal.journal
                    SET state = $2, object_oid = coalesce($3, object_oid), ended_at = now(),
                        note = CASE WHEN $4 = '' THEN note ELSE $4 END
                  WHERE id = $1",
                &[&step_id, &state.name(), &object_oid, &note],
            )
            .await?;
        Ok(())
    }

    /// The steps of a repair in the order in which they were done.
    pub async fn steps(&self, repair_id: i64) -> Result<Vec<StepRecord>, JournalError> {
        let session = self.session().await?;
        let sql = format!("SELECT {COLUMNS} FROM pgheal.journal WHERE repair_id = $1 ORDER BY seq");
        session.query(&sql, &[&repair_id]).await?.iter().map(read_step).collect()
    }

    /// The value that pgheal gave to a setting of this database (of `role` in it) last, where it still stands
    /// by the journal. A setting of another value was made by somebody else.
    pub async fn setting_made(&self, name: &str, role: Option<&str>) -> Result<Option<String>, JournalError> {
        let session = self.session().await?;
        let row = session
            .query_opt(
                "SELECT action->>'value' FROM pgheal.journal
                  WHERE action->>'kind' = 'set_parameter' AND state IN ('done', 'intended')
                    AND action->>'name' = $1 AND (action->>'role') IS NOT DISTINCT FROM $2
                  ORDER BY id DESC LIMIT 1",
                &[&name, &role],
            )
            .await?;
        Ok(row.map(|row| row.get(0)))
    }
}

fn read_step(row: &Row) -> Result<StepRecord, JournalError> {
    let state: String = row.get(5);
    let pid: Option<i32> = row.get(8);
    let started_at: Option<String> = row.get(9);
    Ok(StepRecord {
        id: row.get(0),
        repair_id: row.get(1),
        seq: row.get(2),
        step: Step {
            action: serde_json::from_value::<Action>(row.get::<_, Value>(3))?,
            undo: serde_json::from_value::<Undo>(row.get::<_, Value>(4))?,
            object_name: row.get(6),
            backend: pid.zip(started_at).map(|(pid, started_at)| Backend { pid, started_at }),
        },
        state: StepState::parse(&state)
            .ok_or_else(|| JournalError::Missing(format!("a step is in the unknown state {state}")))?,
        object_oid: row.get(7),
        note: row.get(10),
    })
}
