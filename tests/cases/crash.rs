//! kill -9 at every step of a rebuild: the next start resolves the open attempt from the journal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::Rng;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::support::{
    ConfigFile, Found, SICK_OPTIONS, World, fill_table, grouped_rows, indexes_of, one_is_left, start,
};

/// Only a rebuild is tried, and the old index goes as soon as the repair is settled, so that its drop is reached.
const DROP_AT_ONCE: &str =
    "[repair]\nrollback_window_hours = 0\n[policy.index_rebalance.settings]\nsurgical_max_share = \"0\"\n";
const KEEP_A_DAY: &str = "[policy.index_rebalance.settings]\nsurgical_max_share = \"0\"\n";

#[tokio::test]
async fn killed_before_and_after_the_build() -> Result<()> {
    for point in ["before_build", "after_build"] {
        dies_at(point, KEEP_A_DAY).await?;
    }
    Ok(())
}

/// The build goes on in its backend after the client is gone.
#[tokio::test]
async fn killed_during_the_build() -> Result<()> {
    dies_at("during_build", KEEP_A_DAY).await
}

#[tokio::test]
async fn killed_around_the_measuring() -> Result<()> {
    for point in ["before_compare", "after_compare"] {
        dies_at(point, KEEP_A_DAY).await?;
    }
    Ok(())
}

#[tokio::test]
async fn killed_around_the_swap() -> Result<()> {
    for point in ["before_swap", "after_swap"] {
        dies_at(point, KEEP_A_DAY).await?;
    }
    Ok(())
}

#[tokio::test]
async fn killed_around_the_drop() -> Result<()> {
    for point in ["before_drop", "after_drop"] {
        dies_at(point, DROP_AT_ONCE).await?;
    }
    Ok(())
}

/// Dies at the point; another run only recovers, since it looks at another index; a third one heals.
async fn dies_at(point: &str, config: &str) -> Result<()> {
    let world = sick_world(&format!("crash_{point}"), 3_000).await?;
    let before = the_index(&world).await?;
    let builds = Builds::watch(&world).await?;

    let killed = world.pgheal_faulty("heal", config, &["--once"], Some(point)).await?;
    ensure!(killed.code.is_none(), "it did not die at {point}: {killed:#?}");
    let recovered = world.pgheal_configured("heal", config, &["--once", "--index", "calm_idx"]).await?;
    assert!(!recovered.stderr.contains("panicked") && recovered.code == Some(0), "{point}: {recovered:#?}");
    one_is_left(&indexes_of(&world, "docs").await?, &before);
    let running =
        world.text("SELECT count(*) FROM pg_stat_progress_create_index WHERE datname = current_database()").await?;
    assert_eq!(running, "0", "a build goes on after the recovery from {point}");
    let records = history(&world).await?;
    let first = records.first().with_context(|| format!("{point}: the history does not tell the attempt"))?;
    assert!(first["finished_at"].is_string(), "{point}: still open: {first:#}");
    assert!(first["outcome"].is_string(), "{point}: no outcome: {first:#}");
    assert!(first["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{point}: no reason: {first:#}");

    world.pgheal_configured("heal", config, &["--once", "--index", "docs_idx"]).await?.expect(0);
    let found = indexes_of(&world, "docs").await?;
    one_is_left(&found, &before);
    let keeps = usize::from(config == KEEP_A_DAY);
    assert_eq!(found.iter().filter(|index| index.kept).count(), keeps, "{point}: {found:#?}");
    let records = history(&world).await?;
    assert!(records.iter().any(|record| record["outcome"] == "healed"), "{point}: {records:#?}");
    assert!(records.iter().all(|record| record["finished_at"].is_string()), "{point}: {records:#?}");
    assert_eq!(builds.most_at_once().await?, 1, "{point}: builds at the same time");
    Ok(())
}

/// The daemon itself, killed several times at random moments of the build, and started again at once.
#[tokio::test]
async fn the_daemon_killed_at_random() -> Result<()> {
    const KILLS: usize = 4;
    let world = sick_world("crash_random", 8_000).await?;
    let before = the_index(&world).await?;
    let builds = Builds::watch(&world).await?;
    let settings = format!(
        "[target]\nurl = \"{}\"\n[healing]\ncheck_interval_ms = 1000\n[index.calm_idx]\nrecall_target = 0.1\n{KEEP_A_DAY}",
        world.url()
    );
    let config = ConfigFile::write("crash_random", &settings)?;
    let path = config.0.display().to_string();
    let arguments = ["run", "--config", path.as_str()];
    'kills: for _ in 0..KILLS {
        let mut daemon = start(&arguments, &[])?;
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut looked = Instant::now();
        while !builds.is_running() {
            ensure!(Instant::now() < deadline, "the daemon begins no build");
            ensure!(daemon.try_wait()?.is_none(), "the daemon ended by itself");
            // A kill late enough comes after the swap: then nothing is left to build.
            if looked.elapsed() > Duration::from_secs(2) {
                if history(&world).await?.iter().any(|r| r["outcome"] == "healed") {
                    daemon.kill().await?;
                    break 'kills;
                }
                looked = Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let pause = rand::rng().random_range(0..1_500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        // SIGKILL.
        daemon.kill().await?;
    }
    let mut daemon = start(&arguments, &[])?;
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let records = history(&world).await?;
        if records.iter().any(|r| r["outcome"] == "healed") && records.iter().all(|r| r["finished_at"].is_string()) {
            break;
        }
        ensure!(Instant::now() < deadline, "not healed: {records:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    one_is_left(&indexes_of(&world, "docs").await?, &before);
    assert_eq!(builds.most_at_once().await?, 1, "builds at the same time");
    let pid = daemon.id().context("the daemon ended by itself")?;
    let stopped = std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status()?;
    ensure!(stopped.success());
    let status = tokio::time::timeout(Duration::from_secs(40), daemon.wait()).await.context("it does not stop")??;
    assert_eq!(status.code(), Some(0));
    Ok(())
}

/// A table with an index that only a rebuild can heal, and another with a healthy one.
async fn sick_world(name: &str, rows: usize) -> Result<World> {
    let world = World::new(name).await?;
    let rows = grouped_rows(rows, 1);
    fill_table(&world, "docs", &rows).await?;
    fill_table(&world, "calm", &rows[..300]).await?;
    world
        .sql(&format!(
            "CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) {SICK_OPTIONS}; \
             CREATE INDEX calm_idx ON calm USING hnsw (embedding vector_cosine_ops) WITH (m = 32, ef_construction = 128)"
        ))
        .await?;
    Ok(world)
}

async fn the_index(world: &World) -> Result<Found> {
    let found = indexes_of(world, "docs").await?;
    ensure!(found.len() == 1);
    Ok(found[0].clone())
}

/// The history, the oldest first.
async fn history(world: &World) -> Result<Vec<Value>> {
    let run = world.pgheal("history", &["--json"]).await?;
    run.expect(0);
    let mut records = run.json()?.as_array().context("no list")?.clone();
    records.sort_by_key(|record| record["id"].as_i64());
    Ok(records)
}

/// Looks all the time at how many builds run on the table.
struct Builds {
    running: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    watcher: JoinHandle<Result<i64>>,
}

impl Builds {
    async fn watch(world: &World) -> Result<Builds> {
        let client = world.connect().await?;
        let (running, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (seen, ended) = (Arc::clone(&running), Arc::clone(&stop));
        let watcher = tokio::spawn(async move {
            let sql = "SELECT count(*) FROM pg_stat_progress_create_index WHERE datname = current_database()";
            let statement = client.prepare(sql).await?;
            let mut most = 0;
            while !ended.load(Ordering::Relaxed) {
                let now: i64 = client.query_one(&statement, &[]).await?.get(0);
                seen.store(now > 0, Ordering::Relaxed);
                most = most.max(now);
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            Ok(most)
        });
        Ok(Builds { running, stop, watcher })
    }

    fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    async fn most_at_once(self) -> Result<i64> {
        self.stop.store(true, Ordering::Relaxed);
        self.watcher.await?
    }
}
