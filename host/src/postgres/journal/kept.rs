use std::time::Duration;

use tokio_postgres::Transaction;

use super::{Journal, JournalError};

/// A replaced index that still exists, within its rollback window or past it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptIndex {
    /// The swap that replaced it.
    pub step_id: i64,
    pub repair_id: i64,
    pub index_oid: u32,
    pub schema: String,
    pub kept_name: String,
    pub original_name: String,
    /// RFC 3339.
    pub keep_until: String,
    pub expired: bool,
    /// The repair that replaced it is still in progress: it is not dropped, whatever its window says.
    pub in_progress: bool,
}

impl Journal {
    /// Closes the step of a swap and remembers the replaced index for `window`, counted by the server's clock; in
    /// the swap's own transaction, so that the journal and the catalog never disagree.
    pub async fn record_swap(
        transaction: &Transaction<'_>,
        step_id: i64,
        index_oid: u32,
        schema: &str,
        kept_name: &str,
        original_name: &str,
        window: Duration,
    ) -> Result<(), JournalError> {
        transaction
            .execute(
                "UPDATE pgheal.journal SET state = 'done', object_oid = $2, ended_at = now() WHERE id = $1",
                &[&step_id, &index_oid],
            )
            .await?;
        transaction
            .execute(
                "INSERT INTO pgheal.kept_indexes
                        (step_id, repair_id, index_oid, schema_name, kept_name, original_name, keep_until)
                 SELECT id, repair_id, $2, $3, $4, $5, now() + $6 * interval '1 second'
                   FROM pgheal.journal WHERE id = $1",
                &[&step_id, &index_oid, &schema, &kept_name, &original_name, &window.as_secs_f64()],
            )
            .await?;
        Ok(())
    }

    /// The swap of this step was taken back, in the same transaction.
    pub async fn record_swap_back(transaction: &Transaction<'_>, step_id: i64) -> Result<(), JournalError> {
        transaction
            .execute(
                "UPDATE pgheal.journal SET state = 'undone', note = 'swapped back', ended_at = now() WHERE id = $1",
                &[&step_id],
            )
            .await?;
        transaction.execute("UPDATE pgheal.kept_indexes SET gone_at = now() WHERE step_id = $1", &[&step_id]).await?;
        Ok(())
    }

    /// The replaced indexes that were neither dropped nor given their name back.
    pub async fn kept_indexes(&self) -> Result<Vec<KeptIndex>, JournalError> {
        let session = self.session().await?;
        let rows = session
            .query(
                "SELECT k.step_id, k.repair_id, k.index_oid, k.schema_name, k.kept_name, k.original_name,
                        to_char(k.keep_until AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),
                        k.keep_until <= now(), r.finished_at IS NULL
                   FROM pgheal.kept_indexes AS k JOIN pgheal.repairs AS r ON r.id = k.repair_id
                  WHERE k.gone_at IS NULL ORDER BY k.step_id",
                &[],
            )
            .await?;
        Ok(rows
            .iter()
            .map(|row| KeptIndex {
                step_id: row.get(0),
                repair_id: row.get(1),
                index_oid: row.get(2),
                schema: row.get(3),
                kept_name: row.get(4),
                original_name: row.get(5),
                keep_until: row.get(6),
                expired: row.get(7),
                in_progress: row.get(8),
            })
            .collect())
    }

    /// It was dropped.
    pub async fn forget_kept(&self, step_id: i64) -> Result<(), JournalError> {
        let session = self.session().await?;
        session.execute("UPDATE pgheal.kept_indexes SET gone_at = now() WHERE step_id = $1", &[&step_id]).await?;
        Ok(())
    }
}
