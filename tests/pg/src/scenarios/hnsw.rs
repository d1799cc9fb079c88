use anyhow::Result;

use super::Scenario;
use super::table::{HnswOptions, create_hnsw, create_table};
use crate::client::Client;
use crate::data::embeddings::Embeddings;
use crate::data::generate::tight_groups;

const GROUPS: usize = 60;
const PER_GROUP: usize = 200;
const NOISE: f32 = 0.2;
const SEED: u64 = 11;

/// Rows in tight groups around real embeddings.
pub(super) async fn grouped(
    scenario: &Scenario,
    client: &Client,
    embeddings: &Embeddings,
    m: u32,
    ef_construction: u32,
) -> Result<Vec<Vec<f32>>> {
    let rows = tight_groups(&embeddings.vectors, GROUPS, PER_GROUP, NOISE, SEED);
    create_table(client, scenario.table, &rows).await?;
    create_hnsw(client, scenario.index, scenario.table, HnswOptions { m, ef_construction }).await?;
    Ok(rows)
}
