//! The order of a daemon's repairs follows the prioritizer that is deployed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{DEFAULT, FAILS_SELF_CHECK, NAME, UPSIDE_DOWN, digest};
use crate::cases::support::{
    ConfigFile, PolicyDirectory, Run, SICK_OPTIONS, World, component, fill_table, grouped_rows, pgheal, start, until,
};

const FILE: &str = "prioritizer_default.wasm";
/// Which repair it is matters little here, but that it ends soon; and an index is left alone until it bears its name.
const SETTINGS: &str = "[repair]\nexclude = [\"staged_grave\", \"staged_mild\"]\n\
                        [policy.index_rebalance.settings]\nsurgical_max_share = \"0\"\nmax_builds = \"1\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployed_prioritizer_orders_the_next_cycle() -> Result<()> {
    let world = World::new("order").await?;
    fill_table(&world, "rows", &grouped_rows(1_500, 3)).await?;

    let directory = PolicyDirectory::new("order")?;
    let source = PolicyDirectory::new("order-source")?;
    directory.put(FILE, &component(DEFAULT)?)?;
    directory.put("index_rebalance.wasm", &component("index_rebalance.wasm")?)?;
    source.put("turned.wasm", &component(UPSIDE_DOWN)?)?;
    source.put("broken.wasm", &component(FAILS_SELF_CHECK)?)?;
    let settings = format!(
        "[target]\nurl = \"{}\"\n[healing]\ncheck_interval_ms = 1000\nmax_concurrent_repairs = 1\n{SETTINGS}",
        world.url()
    );
    let config = ConfigFile::write("order", &settings)?;
    let (path, dir) = (config.0.display().to_string(), directory.0.display().to_string());
    let mut daemon = start(&["run", "--config", &path, "--policies", &dir], &[])?;
    until("the daemon serves", || super::kills::told(&directory).is_some()).await?;
    let policy = async |arguments: &[&str]| -> Result<Run> {
        pgheal(&[&["policy"], arguments, &["--dir", &dir]].concat()).await
    };

    assert_eq!(first_repaired(&world, 1).await?, "grave");
    policy(&["deploy", &source.path("turned.wasm").display().to_string()]).await?.expect(0);
    assert_eq!(first_repaired(&world, 2).await?, "mild");
    let broken = policy(&["deploy", &source.path("broken.wasm").display().to_string()]).await?;
    assert!(broken.code == Some(3) && broken.stdout.contains("self-check"), "{broken:#?}");
    assert_eq!(super::kills::told(&directory), Some(digest(&component(UPSIDE_DOWN)?)));
    assert_eq!(first_repaired(&world, 3).await?, "mild");
    policy(&["rollback", NAME]).await?.expect(0);
    assert_eq!(first_repaired(&world, 4).await?, "grave");

    ensure!(daemon.try_wait()?.is_none(), "the daemon was started only once, and has ended");
    daemon.kill().await?;
    Ok(())
}

/// Makes an index that hardly finds anything (critical) and one whose graph is mostly deleted slots (low) appear at
/// once, and gives the one that is repaired first.
async fn first_repaired(world: &World, round: u32) -> Result<String> {
    for table in ["grave", "mild"] {
        world.sql(&format!("DROP TABLE IF EXISTS {table}; CREATE TABLE {table} AS SELECT * FROM rows")).await?;
    }
    world
        .sql(&format!("CREATE INDEX staged_grave ON grave USING hnsw (embedding vector_cosine_ops) {SICK_OPTIONS}"))
        .await?;
    world.sql("CREATE INDEX staged_mild ON mild USING hnsw (embedding vector_cosine_ops)").await?;
    world.sql("DELETE FROM mild WHERE id % 5 < 3").await?;
    vacuum_all(world, "mild").await?;
    world
        .sql(&format!(
            "BEGIN; ALTER INDEX staged_grave RENAME TO grave_{round}; \
             ALTER INDEX staged_mild RENAME TO mild_{round}; COMMIT"
        ))
        .await?;
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let run = world.pgheal("history", &["--json"]).await?;
        let mut records = run.json()?.as_array().context("no list")?.clone();
        records.retain(|r| r["index"].as_str().is_some_and(|index| index.ends_with(&format!("_{round}\""))));
        records.sort_by_key(|r| r["id"].as_i64());
        let of = |table: &str| {
            let index = format!("{table}_{round}");
            records.iter().any(|r| r["finished_at"].is_string() && is_of(r, &index))
        };
        if of("grave") && of("mild") {
            let table = if is_of(&records[0], &format!("grave_{round}")) { "grave" } else { "mild" };
            return Ok(table.to_owned());
        }
        ensure!(Instant::now() < deadline, "not repaired in round {round}: {records:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// While the daemon measures, its snapshot keeps rows that were deleted since from being removed.
async fn vacuum_all(world: &World, table: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        world.sql(&format!("VACUUM {table}")).await?;
        let left = world.text(&format!("SELECT pg_stat_get_dead_tuples('{table}'::regclass)")).await?;
        if left == "0" {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{left} dead rows of {table} cannot be removed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn is_of(record: &Value, index: &str) -> bool {
    record["index"].as_str().is_some_and(|name| name.contains(index))
}
