use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::{Journal, JournalError, StepRecord};
use crate::model::{AgendaItem, Outcome, RepairRecord, RepairResult};

/// Repairs as `read_record` takes them.
const RECORDS: &str = "
SELECT id, issue_id, issue_kind, index_name, strategy, digest,
       to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
       to_char(finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
       outcome, result, reason, before, after
  FROM pgheal.repairs";

/// What is known of a repair when it starts.
pub struct NewRepair<'a> {
    pub agenda: &'a AgendaItem,
    pub strategy: &'a str,
    /// The strategy component's digest.
    pub digest: &'a str,
    /// The measurement that found the issue.
    pub before: &'a Value,
}

/// A table by its unquoted names; without a schema, one of any schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    pub schema: Option<String>,
    pub name: String,
}

/// A repair that neither ended well nor was wholly undone.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub repair_id: i64,
    pub strategy: String,
    pub index_name: Option<String>,
    /// Its rollback had begun: it must be finished, whatever was done.
    pub rolling_back: bool,
    pub steps: Vec<StepRecord>,
}

impl Journal {
    /// Opens a repair in the history; its id names everything that it makes.
    pub async fn start_repair(&self, repair: &NewRepair<'_>) -> Result<i64, JournalError> {
        let issue = &repair.agenda.diagnosis.issue;
        let agenda = serde_json::to_value(repair.agenda)?;
        let index_name = issue.index.as_ref().map(|index| index.qualified());
        let session = self.session().await?;
        let row = session
            .query_one(
                "INSERT INTO pgheal.repairs (issue_id, issue_kind, index_name, strategy, digest, agenda, before)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
                &[&issue.id, &issue.kind.name(), &index_name, &repair.strategy, &repair.digest, &agenda, repair.before],
            )
            .await?;
        Ok(row.get(0))
    }

    /// Writes that the repair is to be taken back, before any step of it is.
    pub async fn begin_rollback(&self, repair_id: i64) -> Result<(), JournalError> {
        let session = self.session().await?;
        session.execute("UPDATE pgheal.repairs SET rolling_back = true WHERE id = $1", &[&repair_id]).await?;
        Ok(())
    }

    /// Closes a repair. Called again (after a rollback that failed first), it overwrites the outcome.
    pub async fn finish_repair(
        &self,
        repair_id: i64,
        outcome: Outcome,
        result: Option<&RepairResult>,
        reason: &str,
        after: &Value,
    ) -> Result<(), JournalError> {
        let session = self.session().await?;
        session
            .execute(
                "UPDATE pgheal.repairs
                    SET finished_at = now(), outcome = $2, result = coalesce($3, result), reason = $4, after = $5
                  WHERE id = $1",
                &[&repair_id, &outcome.name(), &result.map(Json), &reason, after],
            )
            .await?;
        Ok(())
    }

    /// The repairs of the last `since_days` days, newest first.
    pub async fn history(&self, since_days: u32, limit: u32) -> Result<Vec<RepairRecord>, JournalError> {
        let statement =
            format!("{RECORDS} WHERE started_at >= now() - $1 * interval '1 day' ORDER BY id DESC LIMIT $2");
        let session = self.session().await?;
        let rows = session.query(&statement, &[&f64::from(since_days), &i64::from(limit)]).await?;
        rows.iter().map(read_record).collect()
    }

    /// The same, of indexes of these tables only.
    pub async fn history_of(
        &self,
        tables: &[TableName],
        since_days: u32,
        limit: u32,
    ) -> Result<Vec<RepairRecord>, JournalError> {
        let statement = format!(
            "{RECORDS} WHERE started_at >= now() - $1 * interval '1 day' AND EXISTS (
                SELECT FROM ROWS FROM (unnest($3::text[]), unnest($4::text[])) AS t(schema, name)
                 WHERE agenda #>> '{{diagnosis,issue,index,table}}' = t.name
                   AND (t.schema IS NULL OR agenda #>> '{{diagnosis,issue,index,table_schema}}' = t.schema))
              ORDER BY id DESC LIMIT $2"
        );
        let schemas: Vec<Option<&str>> = tables.iter().map(|table| table.schema.as_deref()).collect();
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        let session = self.session().await?;
        let rows = session.query(&statement, &[&f64::from(since_days), &i64::from(limit), &schemas, &names]).await?;
        rows.iter().map(read_record).collect()
    }

    /// One repair of the history.
    pub async fn repair(&self, repair_id: i64) -> Result<RepairRecord, JournalError> {
        let session = self.session().await?;
        read_record(&session.query_one(&format!("{RECORDS} WHERE id = $1"), &[&repair_id]).await?)
    }

    /// Forgets finished repairs older than the retention; those whose old index still exists, or whose rollback
    /// failed, stay.
    pub async fn prune_history(&self, retention_days: u32) -> Result<u64, JournalError> {
        let session = self.session().await?;
        session
            .execute(
                "DELETE FROM pgheal.kept_indexes WHERE gone_at < now() - $1 * interval '1 day'",
                &[&f64::from(retention_days)],
            )
            .await?;
        session
            .execute(
                "DELETE FROM pgheal.requests WHERE ended_at < now() - $1 * interval '1 day'",
                &[&f64::from(retention_days)],
            )
            .await?;
        Ok(session
            .execute(
                "DELETE FROM pgheal.repairs AS r
                  WHERE r.finished_at < now() - $1 * interval '1 day' AND r.outcome <> 'rollback_failed'
                    AND NOT EXISTS (SELECT FROM pgheal.kept_indexes AS k WHERE k.repair_id = r.id)
                    AND NOT EXISTS (SELECT FROM pgheal.journal AS j WHERE j.repair_id = r.id
                                       AND j.action->>'kind' = 'set_parameter' AND j.state = 'done')",
                &[&f64::from(retention_days)],
            )
            .await?)
    }

    /// The mean duration in ms of the healed repairs of this type; None where there was none.
    pub async fn past_duration_ms(&self, repair_type: &str) -> Result<Option<u64>, JournalError> {
        let session = self.session().await?;
        let mean: Option<f64> = session
            .query_one(
                "SELECT avg(extract(epoch FROM finished_at - started_at) * 1000)::float8 FROM pgheal.repairs
                  WHERE outcome = 'healed' AND result->>'repair_type' = $1",
                &[&repair_type],
            )
            .await?
            .get(0);
        Ok(mean.filter(|ms| *ms >= 0.0).map(|ms| ms.round() as u64))
    }

    /// The repairs that are open: in progress, or left by a failed rollback. Only the leader may resolve them.
    pub async fn open_attempts(&self) -> Result<Vec<Attempt>, JournalError> {
        let rows = {
            let session = self.session().await?;
            session
                .query(
                    "SELECT id, strategy, index_name, rolling_back FROM pgheal.repairs
                      WHERE finished_at IS NULL OR outcome = 'rollback_failed' ORDER BY id",
                    &[],
                )
                .await?
        };
        let mut attempts = Vec::with_capacity(rows.len());
        for row in &rows {
            let repair_id = row.get(0);
            let steps = self.steps(repair_id).await?;
            attempts.push(Attempt {
                repair_id,
                strategy: row.get(1),
                index_name: row.get(2),
                rolling_back: row.get(3),
                steps,
            });
        }
        Ok(attempts)
    }
}

fn read_record(row: &Row) -> Result<RepairRecord, JournalError> {
    let outcome: Option<String> = row.get(8);
    let result: Option<Value> = row.get(9);
    Ok(RepairRecord {
        id: row.get(0),
        issue_id: row.get(1),
        issue_kind: row.get(2),
        index: row.get(3),
        strategy: row.get(4),
        digest: row.get(5),
        started_at: row.get(6),
        finished_at: row.get(7),
        outcome: outcome.map(|name| serde_json::from_value::<Outcome>(Value::String(name))).transpose()?,
        result: result.map(serde_json::from_value::<RepairResult>).transpose()?,
        reason: row.get(10),
        before: row.get(11),
        after: row.get(12),
    })
}
