use anyhow::Result;

use super::Scenario;
use super::table::{create_ivfflat, create_table, numbered};
use crate::client::{Client, execute, single};
use crate::data::embeddings::Embeddings;
use crate::data::load::load;

const SECTION: &str = "rust";
const LISTS: u32 = 80;
/// As the owner of the database chose it, for the index that he thinks he has.
const PROBES: u32 = 30;

/// Lists whose centres know one section only, then all the other rows.
pub(super) async fn stale(scenario: &Scenario, client: &Client, embeddings: &Embeddings) -> Result<Vec<Vec<f32>>> {
    let of = |wanted: bool| {
        let pairs = embeddings.vectors.iter().zip(&embeddings.sections);
        pairs.filter(move |(_, section)| (*section == SECTION) == wanted).map(|(vector, _)| vector.clone())
    };
    let mut rows: Vec<Vec<f32>> = of(true).collect();
    let trained = rows.len();
    create_table(client, scenario.table, &rows).await?;
    create_ivfflat(client, scenario.index, scenario.table, LISTS).await?;
    rows.extend(of(false));
    load(client, scenario.table, "id, embedding", numbered(&rows[trained..], trained as i64)).await?;
    execute(client, &format!("ANALYZE {}", scenario.table)).await?;
    let database = single(client, "SELECT quote_ident(current_database())").await?.unwrap_or_default();
    execute(client, &format!("ALTER DATABASE {database} SET ivfflat.probes = {PROBES}")).await?;
    execute(client, &format!("SET ivfflat.probes = {PROBES}")).await?;
    Ok(rows)
}
