use anyhow::Result;
use pgheal_test_server::{Column, load, project, tight_groups};

use super::world::{World, embeddings};

/// The definition of an index that answers badly at every `ef_search`: too few links for rows in tight groups.
pub const SICK_OPTIONS: &str = "WITH (m = 2, ef_construction = 4)";

/// `count` rows in tight groups of 50 around real ones, in 16 dimensions.
pub fn grouped_rows(count: usize, seed: u64) -> Vec<Vec<f32>> {
    project(&tight_groups(embeddings(), count.div_ceil(50), 50, 0.2, seed), 16, true, 9)
}

/// The definition of an index whose searches miss some rows of `blind_rows`, few enough to be re-inserted.
pub const BLIND_OPTIONS: &str = "WITH (m = 8, ef_construction = 40)";

/// 12,000 rows in 60 tight groups around real ones; the same groups for every seed.
pub fn blind_rows(seed: u64) -> Vec<Vec<f32>> {
    tight_groups(embeddings(), 60, 200, 0.2, seed)
}

/// A table `name` with `id`, `embedding` and `note`, filled with the rows.
pub async fn fill_table(world: &World, name: &str, rows: &[Vec<f32>]) -> Result<()> {
    world
        .sql(&format!(
            "CREATE TABLE {name} (id bigint PRIMARY KEY, embedding vector({}), note text NOT NULL DEFAULT '') \
             WITH (autovacuum_enabled = off)",
            rows[0].len()
        ))
        .await?;
    let numbered = rows.iter().zip(0..).map(|(row, id)| vec![Column::Int8(id), Column::Vector(row)]);
    load(&world.client, name, "id, embedding", numbered).await?;
    world.sql(&format!("ANALYZE {name}")).await
}

/// A user trigger: re-inserting rows would fire it, so the repair must be another one.
pub async fn add_trigger(world: &World, table: &str) -> Result<()> {
    world
        .sql(&format!(
            "CREATE TABLE IF NOT EXISTS trigger_calls (at timestamptz DEFAULT clock_timestamp()); \
             CREATE OR REPLACE FUNCTION note_call() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN INSERT INTO trigger_calls DEFAULT VALUES; RETURN NEW; END $$; \
             CREATE TRIGGER note_update BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION note_call()"
        ))
        .await
}
