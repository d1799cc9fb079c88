use std::collections::HashMap;

use anyhow::{Result, ensure};
use pgheal_test_server::{Client, execute};

/// Neighbours that a query asks for.
pub const K: i64 = 10;

/// The exact answers to the queries of a table, found by scanning all rows in SQL.
pub struct Truth {
    table: String,
    queries: String,
    operator: String,
    /// Per query the distance of its last neighbour, and how many neighbours there are (fewer than ten in a
    /// small table).
    last: HashMap<i64, (f64, usize)>,
}

/// What real index scans returned.
#[derive(Clone, Copy, Debug)]
pub struct Scans {
    /// Share of the nearest rows that the scans returned; a row as near as the last neighbour counts as one.
    pub recall: f64,
    /// Share of the queries with a recall below 0.1.
    pub blind_share: f64,
    /// Mean number of rows returned.
    pub rows_returned: f64,
}

impl Truth {
    /// `queries` is a table (or a query in parentheses) with `id` and `embedding`; `table` has `id` and `embedding`.
    pub async fn find(client: &Client, table: &str, queries: &str, operator: &str) -> Result<Truth> {
        execute(client, "SET enable_indexscan = off; SET enable_seqscan = on; SET enable_sort = on").await?;
        let sql = answers(table, queries, operator);
        let plan = plan(client, &sql).await?;
        ensure!(!plan.contains("Index Scan using"), "no exact scan: {plan}");
        let mut last: HashMap<i64, (f64, usize)> = HashMap::new();
        for row in client.query(&sql, &[]).await? {
            let (query, distance): (i64, f64) = (row.get(0), row.get(1));
            let entry = last.entry(query).or_insert((distance, 0));
            *entry = (entry.0.max(distance), entry.1 + 1);
        }
        execute(client, "RESET enable_indexscan").await?;
        Ok(Truth { table: table.to_owned(), queries: queries.to_owned(), operator: operator.to_owned(), last })
    }

    /// The same queries by real scans of `index`, with `parameter` (for example `hnsw.ef_search`) at `value`.
    pub async fn real_scans(&self, client: &Client, index: &str, parameter: &str, value: u32) -> Result<Scans> {
        execute(client, &format!("SET enable_seqscan = off; SET enable_sort = off; SET {parameter} = {value}")).await?;
        let sql = answers(&self.table, &self.queries, &self.operator);
        let plan = plan(client, &sql).await?;
        ensure!(plan.contains(&format!("Index Scan using {index}")), "{index} is not used: {plan}");
        let mut hits: HashMap<i64, usize> = HashMap::new();
        let mut returned = 0;
        for row in client.query(&sql, &[]).await? {
            let (query, distance): (i64, f64) = (row.get(0), row.get(1));
            returned += 1;
            *hits.entry(query).or_default() += usize::from(distance <= self.last[&query].0);
        }
        execute(client, &format!("RESET enable_seqscan; RESET enable_sort; RESET {parameter}")).await?;
        let recalls: Vec<f64> = self
            .last
            .iter()
            .map(|(query, (_, count))| hits.get(query).copied().unwrap_or(0) as f64 / *count as f64)
            .collect();
        let count = recalls.len() as f64;
        Ok(Scans {
            recall: recalls.iter().sum::<f64>() / count,
            blind_share: recalls.iter().filter(|recall| **recall < 0.1).count() as f64 / count,
            rows_returned: f64::from(returned) / count,
        })
    }
}

/// Query, distance: the ten rows of each query in one statement.
fn answers(table: &str, queries: &str, operator: &str) -> String {
    format!(
        "SELECT q.id, t.distance FROM {queries} AS q CROSS JOIN LATERAL \
         (SELECT embedding {operator} q.embedding AS distance FROM {table} \
          ORDER BY embedding {operator} q.embedding LIMIT {K}) AS t"
    )
}

async fn plan(client: &Client, sql: &str) -> Result<String> {
    let rows = client.query(&format!("EXPLAIN {sql}"), &[]).await?;
    Ok(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n"))
}
