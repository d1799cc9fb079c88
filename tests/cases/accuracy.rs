//! What `check` reports is what an independent decoder reads from the pages, and what SQL finds by exact and by real
//! index scans.

use std::collections::HashSet;

use anyhow::{Context, Result};
use pgheal::measure::{MeasureOptions, measure};
use pgheal::model::Silent;
use pgheal::postgres::{Connector, vector_indexes};
use pgheal_test_server::{Column, expand_real, load, noisy_copies, project};
use serde_json::{Value, json};

use super::independent::hnsw::{self, Facts, Place};
use super::support::{Truth, World, embeddings};

const QUERIES: usize = 200;
/// Differences that are left where the same queries are asked in two ways: of the report's recall, of a curve's point.
const RECALL_TOLERANCE: f64 = 0.01;
const CURVE_TOLERANCE: f64 = 0.005;
const EF_SEARCH: [u32; 4] = [10, 40, 100, 200];
const PROBES: [u32; 3] = [1, 5, 20];
/// So that the program asks the queries that SQL asks.
const CONFIG: &str = "[measure]\nquery_table = 'public.queries'\n";

#[tokio::test]
async fn a_quiet_index_of_real_rows() -> Result<()> {
    let world = World::new("accuracy_quiet").await?;
    real_rows(&world, 20_000).await?;
    world.sql("CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops)").await?;
    let report = check(&world, CONFIG).await?;
    same_structure(&report, &hnsw::facts(&world.client, "docs_idx").await?);
    assert_eq!(report["elements_deleted"], 0);
    assert_eq!(report["type"], "vector");
    assert_eq!(report["opclass"], "vector_cosine_ops");
    same_recall(&world, &report, "<=>", "hnsw.ef_search", 40, &EF_SEARCH).await
}

#[tokio::test]
async fn a_churned_index_of_real_rows() -> Result<()> {
    let world = World::new("accuracy_churned").await?;
    let rows = real_rows(&world, 19_000).await?;
    world.sql("CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops)").await?;
    let dead = churn(&world, "docs", &noisy_copies(&rows, 1_000, 0.3, 8)).await?;
    churned_as_told(&world, &dead, "<=>").await
}

#[tokio::test]
async fn a_churned_halfvec_index_of_real_rows() -> Result<()> {
    let world = World::new("accuracy_halfvec").await?;
    let rows = real_rows(&world, 19_000).await?;
    world
        .sql(
            "ALTER TABLE docs ALTER embedding TYPE halfvec(384); ALTER TABLE queries ALTER embedding TYPE halfvec(384); \
             CREATE INDEX docs_idx ON docs USING hnsw (embedding halfvec_cosine_ops)",
        )
        .await?;
    let report = check(&world, CONFIG).await?;
    same_structure(&report, &hnsw::facts(&world.client, "docs_idx").await?);
    assert_eq!(report["type"], "halfvec");
    same_recall(&world, &report, "<=>", "hnsw.ef_search", 40, &EF_SEARCH).await?;
    let dead = churn(&world, "docs", &noisy_copies(&rows, 1_000, 0.3, 8)).await?;
    churned_as_told(&world, &dead, "<=>").await
}

/// In three dimensions on a grid most rows have many duplicates: more than the ten that fit into one element.
#[tokio::test]
async fn small_dimensions_with_many_duplicates() -> Result<()> {
    for (dimensions, grid) in [(8, None), (3, Some(4.0))] {
        let world = World::new(&format!("accuracy_dimensions_{dimensions}")).await?;
        let snap = |rows: Vec<Vec<f32>>| -> Vec<Vec<f32>> {
            let Some(grid) = grid else { return rows };
            rows.into_iter().map(|row| row.into_iter().map(|x| (x * grid).round() / grid).collect()).collect()
        };
        let rows = snap(project(&expand_real(embeddings(), 6_000, 3), dimensions, false, 4));
        table(&world, &rows[..5_000]).await?;
        let queries = project(&noisy_copies(embeddings(), QUERIES, 0.3, 5), dimensions, false, 4);
        queries_table(&world, &queries).await?;
        world.sql("CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_l2_ops) WITH (m = 6)").await?;
        // Few: an insert may not find the duplicates that are there, and takes a deleted slot for each row then.
        let dead = churn(&world, "docs", &rows[5_000..5_100]).await?;
        let facts = hnsw::facts(&world.client, "docs_idx").await?;
        if grid.is_some() {
            let full = facts.heap_rows.iter().filter(|rows| rows.len() == 10).count();
            assert!(full > 10, "{full} full elements of {}", facts.heap_rows.len());
        }
        churned_as_told(&world, &dead, "<->").await?;
    }
    Ok(())
}

#[tokio::test]
async fn lists_of_an_ivfflat_index() -> Result<()> {
    let world = World::new("accuracy_ivfflat").await?;
    let rows = real_rows(&world, 19_000).await?;
    world.sql("CREATE INDEX docs_idx ON docs USING ivfflat (embedding vector_cosine_ops) WITH (lists = 80)").await?;
    for round in 0..2 {
        if round == 1 {
            churn(&world, "docs", &noisy_copies(&rows, 1_000, 0.3, 8)).await?;
        }
        let report = check(&world, CONFIG).await?;
        assert_eq!((&report["lists"], &report["method"]), (&json!(80), &json!("ivfflat")));
        same_recall(&world, &report, "<=>", "ivfflat.probes", 1, &PROBES).await?;
    }
    Ok(())
}

/// Without a table of queries, rows of the index are searched for, each without its own: SQL is told to do the same.
#[tokio::test]
async fn sampled_rows_do_not_find_themselves() -> Result<()> {
    let world = World::new("accuracy_sampled").await?;
    real_rows(&world, 5_000).await?;
    world.sql("CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) WITH (m = 8)").await?;
    let connector = Connector::parse(&world.url())?;
    let session = connector.connect("test").await?;
    let index = vector_indexes(&session, Some("docs_idx")).await?.pop().context("no index")?;
    let options = MeasureOptions { probe_count: 300, ..MeasureOptions::default() };
    let measurement = measure(&connector, &index, &options, None, &Silent).await?;
    let probes = measurement.probes.context("no probes")?;
    assert!(probes.is_sampled() && probes.len() == 300);

    world.sql("CREATE TABLE sampled (id bigint, embedding vector(384), own tid[])").await?;
    let insert = "INSERT INTO sampled VALUES ($1, $2::text::vector, $3::text[]::tid[])";
    let insert = world.client.prepare(insert).await?;
    for i in 0..probes.len() {
        let own: Vec<String> = probes.own_tids(i).iter().map(ToString::to_string).collect();
        assert!(!own.is_empty());
        world.client.execute(&insert, &[&(i as i64), &probes.literal(i), &own]).await?;
    }
    let truth = Truth::find(&world.client, "docs WHERE ctid <> ALL (q.own)", "sampled", "<=>").await?;
    let search = &measurement.health.search;
    let curve = search.curve.known().context("no curve")?;
    for value in EF_SEARCH {
        let real = truth.real_scans(&world.client, "docs_idx", "hnsw.ef_search", value).await?;
        let point = curve.iter().find(|point| point.value == value).context("no such point")?;
        near(&format!("recall at {value}"), &json!(point.recall), real.recall, CURVE_TOLERANCE);
        if value == 40 {
            near("recall", &json!(search.recall), real.recall, RECALL_TOLERANCE);
        }
    }
    Ok(())
}

/// Real-ish rows and tight groups around real ones, in `docs`, and queries near them in `queries`.
async fn real_rows(world: &World, count: usize) -> Result<Vec<Vec<f32>>> {
    let rows = expand_real(embeddings(), count, 1);
    table(world, &rows).await?;
    queries_table(world, &noisy_copies(embeddings(), QUERIES, 0.35, 2)).await?;
    Ok(rows)
}

/// A table whose pages have room for HOT updates.
async fn table(world: &World, rows: &[Vec<f32>]) -> Result<()> {
    let dimensions = rows[0].len();
    world
        .sql(&format!(
            "CREATE TABLE docs (id bigint PRIMARY KEY, embedding vector({dimensions}), note text) \
             WITH (fillfactor = 50, autovacuum_enabled = off); \
             ALTER TABLE docs ALTER embedding SET STORAGE PLAIN"
        ))
        .await?;
    insert(world, "docs", 0, rows).await?;
    world.sql("ANALYZE docs").await
}

async fn queries_table(world: &World, queries: &[Vec<f32>]) -> Result<()> {
    let dimensions = queries[0].len();
    world.sql(&format!("CREATE TABLE queries (id bigint PRIMARY KEY, embedding vector({dimensions}))")).await?;
    insert(world, "queries", 0, queries).await?;
    world.sql("ANALYZE queries").await
}

async fn insert(world: &World, table: &str, first: i64, rows: &[Vec<f32>]) -> Result<()> {
    let type_name = world
        .text(&format!(
            "SELECT split_part(format_type(atttypid, atttypmod), '(', 1) FROM pg_attribute \
             WHERE attrelid = '{table}'::regclass AND attname = 'embedding'"
        ))
        .await?;
    let rows = rows.iter().zip(first..).map(|(row, id)| {
        let value = if type_name == "halfvec" { Column::HalfVec(row) } else { Column::Vector(row) };
        vec![Column::Int8(id), value]
    });
    load(&world.client, table, "id, embedding", rows).await?;
    Ok(())
}

/// Duplicates, deleted slots (some in use again), HOT updates, and rows that are dead but not vacuumed. Gives the places
/// in the index of the latter.
async fn churn(world: &World, table: &str, more: &[Vec<f32>]) -> Result<HashSet<Place>> {
    world
        .sql(&format!(
            "INSERT INTO {table} (id, embedding) SELECT 1000000 + i, embedding FROM {table}, generate_series(1, 25) AS i WHERE id = 8; \
             DELETE FROM {table} WHERE id % 7 IN (3, 5)"
        ))
        .await?;
    world.sql(&format!("VACUUM {table}")).await?;
    insert(world, table, 2_000_000, more).await?;
    world.sql(&format!("UPDATE {table} SET note = 'changed' WHERE id % 5 = 0")).await?;
    world.sql("SELECT pg_stat_force_next_flush()").await?;
    let hot: i64 = world.text(&format!("SELECT pg_stat_get_tuples_hot_updated('{table}'::regclass)")).await?.parse()?;
    assert!(hot > 100, "only {hot} HOT updates");

    // None of these rows was updated before, so that their places are the ones that the index knows.
    let chosen = "id % 5 <> 0 AND (id % 11 = 4 OR id BETWEEN 500 AND 800)";
    let places = world.client.query(&format!("SELECT ctid::text FROM {table} WHERE {chosen}"), &[]).await?;
    let dead = places.iter().map(|row| place(row.get(0))).collect::<Result<HashSet<Place>>>()?;
    world
        .sql(&format!(
            "UPDATE {table} SET embedding = (SELECT embedding FROM {table} WHERE id = 9) WHERE {chosen} AND id % 11 <> 4; \
             DELETE FROM {table} WHERE {chosen} AND id % 11 = 4"
        ))
        .await?;
    Ok(dead)
}

fn place(ctid: &str) -> Result<Place> {
    let (block, offset) = ctid.trim_matches(['(', ')']).split_once(',').context("no ctid")?;
    Ok((block.parse()?, offset.parse()?))
}

async fn check(world: &World, config: &str) -> Result<Value> {
    let run = world.pgheal_configured("check", config, &["--json", "--index", "docs_idx"]).await?;
    assert!(matches!(run.code, Some(0 | 1)), "{run:#?}");
    run.index("docs_idx")
}

async fn churned_as_told(world: &World, dead: &HashSet<Place>, operator: &str) -> Result<()> {
    let report = check(world, CONFIG).await?;
    let facts = hnsw::facts(&world.client, "docs_idx").await?;
    assert!(facts.elements_deleted > 0, "the vacuum left no deleted slot");
    same_structure(&report, &facts);
    let awaiting = facts.heap_rows.iter().filter(|rows| rows.iter().all(|row| dead.contains(row))).count();
    assert!(awaiting > 50, "only {awaiting} elements of dead rows");
    assert_eq!(report["elements_awaiting_vacuum"], awaiting);
    same_recall(world, &report, operator, "hnsw.ef_search", 40, &EF_SEARCH).await
}

/// Exact, all of it.
#[track_caller]
fn same_structure(report: &Value, facts: &Facts) {
    let entry =
        facts.entry_point.map(|(block, offset, level)| json!({"block": block, "offset": offset, "level": level}));
    let expected = json!({
        "m": facts.m,
        "ef_construction": facts.ef_construction,
        "dimensions": facts.dimensions,
        "elements_live": facts.elements_live,
        "elements_reachable": facts.elements_reachable,
        "elements_deleted": facts.elements_deleted,
        "orphan_count": facts.orphan_count,
        "layer_distribution": facts.layer_distribution,
        "entry_point": entry,
    });
    let fields = expected.as_object().into_iter().flatten();
    let reported: Value = fields.map(|(name, _)| (name.clone(), report[name].clone())).collect();
    assert_eq!(reported, expected);
    let connectivity = report["connectivity_score"].as_f64().expect("connectivity_score");
    assert!((connectivity - facts.elements_reachable as f64 / facts.elements_live as f64).abs() < 1e-9);
}

/// The recall reported and the curve, against exact and real index scans of the same queries.
async fn same_recall(
    world: &World,
    report: &Value,
    operator: &str,
    parameter: &str,
    in_force: u32,
    values: &[u32],
) -> Result<()> {
    assert_eq!(report["probe_count"], QUERIES);
    let truth = Truth::find(&world.client, "docs", "queries", operator).await?;
    for &value in values {
        let real = truth.real_scans(&world.client, "docs_idx", parameter, value).await?;
        let curve = report["curve"].as_array().context("no curve")?;
        let point = curve.iter().find(|p| p["value"] == value).with_context(|| format!("no {value}: {curve:?}"))?;
        near(&format!("recall at {value}"), &point["recall"], real.recall, CURVE_TOLERANCE);
        near(&format!("blind share at {value}"), &point["blind_share"], real.blind_share, CURVE_TOLERANCE);
        if value == in_force {
            near("recall_at_10", &report["recall_at_10"], real.recall, RECALL_TOLERANCE);
            near("blind_share", &report["blind_share"], real.blind_share, RECALL_TOLERANCE);
            near("rows_returned_mean", &report["rows_returned_mean"], real.rows_returned, 10.0 * RECALL_TOLERANCE);
        }
    }
    Ok(())
}

#[track_caller]
fn near(what: &str, reported: &Value, expected: f64, tolerance: f64) {
    let reported = reported.as_f64().unwrap_or(f64::NAN);
    assert!((reported - expected).abs() <= tolerance, "{what}: reported {reported}, real {expected}");
}
