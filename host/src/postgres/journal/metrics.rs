use serde_json::Value;

use super::{Journal, JournalError};
use crate::model::HealingMetrics;

impl Journal {
    /// The counters as they were saved last; zeros where they never were.
    pub async fn load_metrics(&self) -> Result<HealingMetrics, JournalError> {
        let session = self.session().await?;
        match session.query_opt("SELECT metrics FROM pgheal.metrics", &[]).await? {
            Some(row) => Ok(serde_json::from_value(row.get::<_, Value>(0))?),
            None => Ok(HealingMetrics::default()),
        }
    }

    pub async fn save_metrics(&self, metrics: &HealingMetrics) -> Result<(), JournalError> {
        let metrics = serde_json::to_value(metrics)?;
        let session = self.session().await?;
        session
            .execute(
                "INSERT INTO pgheal.metrics (metrics) VALUES ($1)
                 ON CONFLICT (only_row) DO UPDATE SET metrics = excluded.metrics, saved_at = now()",
                &[&metrics],
            )
            .await?;
        Ok(())
    }
}
