use anyhow::{Context, Result};
use tokio_postgres::Client;

use crate::client::{VectorParam, execute};
use crate::data::load::{Column, load};

/// Options of an HNSW index.
#[derive(Clone, Copy, Debug)]
pub struct HnswOptions {
    pub m: u32,
    pub ef_construction: u32,
}

/// A table with `id bigint` (the row's position) and `embedding vector(n)`. Autovacuum stays away, so that what
/// happens to the index is only what the scenario does.
pub async fn create_table(client: &Client, table: &str, rows: &[Vec<f32>]) -> Result<()> {
    let dimensions = rows.first().context("no rows")?.len();
    execute(
        client,
        &format!(
            "CREATE TABLE {table} (id bigint PRIMARY KEY, embedding vector({dimensions})) WITH (autovacuum_enabled = off); \
             ALTER TABLE {table} ALTER embedding SET STORAGE PLAIN"
        ),
    )
    .await?;
    load(client, table, "id, embedding", numbered(rows, 0)).await?;
    execute(client, &format!("ANALYZE {table}")).await
}

/// Rows as `load` takes them, with their positions from `first` as ids.
pub(super) fn numbered(rows: &[Vec<f32>], first: i64) -> impl Iterator<Item = Vec<Column<'_>>> {
    rows.iter().zip(first..).map(|(row, id)| vec![Column::Int8(id), Column::Vector(row)])
}

pub async fn create_hnsw(client: &Client, index: &str, table: &str, options: HnswOptions) -> Result<()> {
    let HnswOptions { m, ef_construction } = options;
    execute(
        client,
        &format!(
            "CREATE INDEX {index} ON {table} USING hnsw (embedding vector_cosine_ops) \
             WITH (m = {m}, ef_construction = {ef_construction})"
        ),
    )
    .await
}

pub async fn create_ivfflat(client: &Client, index: &str, table: &str, lists: u32) -> Result<()> {
    execute(
        client,
        &format!("CREATE INDEX {index} ON {table} USING ivfflat (embedding vector_cosine_ops) WITH (lists = {lists})"),
    )
    .await
}

/// Re-inserts, in one transaction, the rows that an index scan for their own vector does not find, and vacuums. Gives
/// how many they were. This is the repair done by hand: what the scenarios were chosen with.
pub async fn reinsert_unfindable(client: &mut Client, table: &str, rows: &[Vec<f32>]) -> Result<usize> {
    execute(client, "SET enable_seqscan = off").await?;
    let find = client.prepare(&format!("SELECT id FROM {table} ORDER BY embedding <=> $1 LIMIT 3")).await?;
    let mut unfindable = Vec::new();
    for (id, row) in rows.iter().enumerate() {
        let found = client.query(&find, &[&VectorParam(row)]).await?;
        if !found.iter().any(|row| row.get::<_, i64>(0) == id as i64) {
            unfindable.push(id as i64);
        }
    }
    let take = client.prepare(&format!("UPDATE {table} SET embedding = NULL WHERE id = $1")).await?;
    let give = client.prepare(&format!("UPDATE {table} SET embedding = $2 WHERE id = $1")).await?;
    let transaction = client.transaction().await?;
    for id in &unfindable {
        transaction.execute(&take, &[id]).await?;
        transaction.execute(&give, &[id, &VectorParam(&rows[*id as usize])]).await?;
    }
    transaction.commit().await?;
    execute(client, &format!("VACUUM {table}")).await?;
    Ok(unfindable.len())
}
