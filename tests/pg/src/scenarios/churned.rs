use anyhow::Result;

use super::Scenario;
use super::table::{HnswOptions, create_hnsw, create_table};
use crate::client::{Client, VectorParam, execute};
use crate::data::embeddings::Embeddings;
use crate::quality::probe_rows;

const ROUNDS: u64 = 3;
/// In per cent of the rows, each round.
const CHANGED: usize = 40;

/// Rounds of updates and vacuums, in which rows exchange their embeddings: all stay real and spread.
pub(super) async fn churned(
    scenario: &Scenario,
    client: &mut Client,
    embeddings: &Embeddings,
) -> Result<Vec<Vec<f32>>> {
    let mut rows = embeddings.vectors.clone();
    let table = scenario.table;
    create_table(client, table, &rows).await?;
    create_hnsw(client, scenario.index, table, HnswOptions { m: 16, ef_construction: 64 }).await?;
    let update = client.prepare(&format!("UPDATE {table} SET embedding = $2 WHERE id = $1")).await?;
    for round in 0..ROUNDS {
        let moved = probe_rows(rows.len(), rows.len() * CHANGED / 100, round);
        let before = rows.clone();
        let transaction = client.transaction().await?;
        for (position, &id) in moved.iter().enumerate() {
            rows[id].clone_from(&before[moved[(position + 1) % moved.len()]]);
            transaction.execute(&update, &[&(id as i64), &VectorParam(&rows[id])]).await?;
        }
        transaction.commit().await?;
        execute(client, &format!("VACUUM (ANALYZE) {table}")).await?;
    }
    Ok(rows)
}
