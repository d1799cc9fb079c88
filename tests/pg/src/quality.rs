use anyhow::{Context, Result, ensure};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::index;
use rayon::prelude::*;
use tokio_postgres::Client;

use crate::client::{VectorParam, execute, single};

/// The exact nearest rows of a query, by their ids, and the distance of the last one.
#[derive(Clone, Debug)]
pub struct Neighbours {
    pub ids: Vec<i64>,
    pub last_distance: f32,
}

/// How well index scans answer, against exact neighbours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Mean recall, 0 to 1.
    pub recall: f64,
    /// Share of the queries with a recall below 0.1.
    pub blind_share: f64,
    /// Mean time of a query in ms, seen by the client.
    pub latency_ms: f64,
}

/// `count` different rows, as positions, the same for the same seed.
pub fn probe_rows(rows: usize, count: usize, seed: u64) -> Vec<usize> {
    index::sample(&mut StdRng::seed_from_u64(seed), rows, count.min(rows)).into_vec()
}

/// The `k` rows nearest to each probe by the cosine distance of unit vectors, the probe itself left out. The rows' ids
/// are their positions.
pub fn exact_neighbours(rows: &[Vec<f32>], probes: &[usize], k: usize) -> Vec<Neighbours> {
    probes
        .par_iter()
        .map(|&probe| {
            let mut distances: Vec<(f32, usize)> = rows
                .iter()
                .enumerate()
                .filter(|(i, _)| *i != probe)
                .map(|(i, r)| (1.0 - dot(&rows[probe], r), i))
                .collect();
            let k = k.min(distances.len());
            if k < distances.len() {
                distances.select_nth_unstable_by(k, |a, b| a.0.total_cmp(&b.0));
            }
            distances.truncate(k);
            distances.sort_by(|a, b| a.0.total_cmp(&b.0));
            Neighbours {
                ids: distances.iter().map(|(_, i)| *i as i64).collect(),
                last_distance: distances.last().map_or(0.0, |(distance, _)| *distance),
            }
        })
        .collect()
}

/// Asks the table's index for the `k` nearest rows of each probe with real index scans, at the session's parameters. The
/// table has the columns `id` (the row's position) and `embedding`.
pub async fn scan_quality(
    client: &Client,
    table: &str,
    rows: &[Vec<f32>],
    probes: &[usize],
    exact: &[Neighbours],
) -> Result<Quality> {
    let k = exact.first().context("no probes")?.ids.len();
    let sql = format!("SELECT id FROM {table} ORDER BY embedding <=> $1 LIMIT {}", k + 1);
    execute(client, "SET enable_seqscan = off; SET enable_sort = off").await?;
    let literal = "(SELECT embedding FROM probe_plan)";
    let plan = single(
        client,
        &format!(
            "EXPLAIN (FORMAT JSON) WITH probe_plan AS MATERIALIZED (SELECT embedding FROM {table} LIMIT 1) \
             SELECT id FROM {table} ORDER BY embedding <=> {literal} LIMIT {k}"
        ),
    )
    .await?
    .unwrap_or_default();
    ensure!(plan.contains("Index Scan"), "no index scan: {plan}");
    let statement = client.prepare(&sql).await?;
    let begin = std::time::Instant::now();
    let (mut recall, mut blind) = (0.0, 0u32);
    for (&probe, truth) in probes.iter().zip(exact) {
        let found = client.query(&statement, &[&VectorParam(&rows[probe])]).await?;
        let ids = found.iter().map(|row| row.get::<_, i64>(0) as usize).filter(|&id| id != probe).take(k);
        // A tie with the last neighbour is as good as it.
        let hits = ids.filter(|&id| 1.0 - dot(&rows[probe], &rows[id]) <= truth.last_distance + 1e-6).count();
        let share = hits as f64 / k as f64;
        recall += share;
        blind += u32::from(share < 0.1);
    }
    let count = probes.len() as f64;
    Ok(Quality {
        recall: recall / count,
        blind_share: f64::from(blind) / count,
        latency_ms: begin.elapsed().as_secs_f64() * 1e3 / count,
    })
}

/// In eight parts, which the compiler turns into vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for i in 0..8 {
            sums[i] += x[i] * y[i];
        }
    }
    sums.iter().sum::<f32>() + rest
}
