//! Two daemons on one database that clients work on: one leads, and when it is killed the other one resolves what it
//! left.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{DEADLINE, eventually};
use crate::cases::support::{
    ConfigFile, Load, SICK_OPTIONS, World, fill_table, grouped_rows, indexes_of, one_is_left, start,
};

/// The server's process that holds the lead, and who waits for it.
const LEADER: &str = "SELECT coalesce(max(pid)::text, '') FROM pg_locks WHERE locktype = 'advisory' AND granted \
    AND objid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
const CANDIDATES: &str = "SELECT count(*) FROM pg_stat_activity \
    WHERE application_name = 'pgheal leader' AND datname = current_database()";

const ROWS: usize = 3_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_standby_takes_over_what_a_killed_leader_left() -> Result<()> {
    let world = World::new("daemon_failover").await?;
    fill_table(&world, "docs", &grouped_rows(ROWS, 1)).await?;
    world
        .sql(&format!(
            "CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) {SICK_OPTIONS}; \
             ALTER DATABASE daemon_failover SET ruvector.dag_healing_enabled = off"
        ))
        .await?;
    let before = indexes_of(&world, "docs").await?[0].clone();
    // Only a rebuild is tried. No cycle comes by itself: what begins does so because healing was switched on.
    let toml = format!(
        "[target]\nurl = \"{}\"\n[healing]\ncheck_interval_ms = 3600000\n\
         [policy.index_rebalance.settings]\nsurgical_max_share = \"0\"\n",
        world.url()
    );
    let config = ConfigFile::write("daemon_failover", &toml)?;
    let arguments = ["run", "--config", &config.0.display().to_string()];
    // It dies while its build runs, as by kill -9.
    let mut leader = start(&arguments, &[("PGHEAL_FAILPOINT", "during_build")])?;
    let first = eventually("somebody leads", async || {
        let pid = world.text(LEADER).await?;
        Ok((!pid.is_empty()).then_some(pid))
    })
    .await?;
    let mut standby = start(&arguments, &[])?;
    eventually("the other one stands by", async || Ok((world.text(CANDIDATES).await? == "2").then_some(()))).await?;
    assert_eq!(world.text(LEADER).await?, first);

    let load = Load::begin(&world, ROWS as i64, grouped_rows(1_000, 77)).await?;
    world.sql("ALTER DATABASE daemon_failover SET ruvector.dag_healing_enabled = on").await?;
    let died = tokio::time::timeout(DEADLINE, leader.wait()).await.context("the leader begins no repair")??;
    let death = Instant::now();
    ensure!(died.code().is_none(), "it ended by itself: {died}");
    eventually("the standby leads", async || {
        let pid = world.text(LEADER).await?;
        Ok((!pid.is_empty() && pid != first).then_some(()))
    })
    .await?;
    assert!(death.elapsed() < Duration::from_secs(10), "it takes over after {:?}", death.elapsed());

    eventually("it heals", async || {
        Ok((world.text("SELECT count(*) FROM pgheal.repairs WHERE outcome = 'healed'").await? != "0").then_some(()))
    })
    .await?;
    // Whoever works on the table gets no error, and nothing is lost.
    let seen = load.end().await?;
    assert_eq!(world.text("SELECT count(*) FROM docs").await?, (ROWS as i64 + seen.inserted).to_string());
    for (what, statements) in seen.statements {
        ensure!(statements > 20, "only {statements} statements of the client that does {what}");
    }
    let told = world
        .text("SELECT string_agg(outcome, ' ' ORDER BY id) FROM pgheal.repairs WHERE strategy = 'index_rebalance'")
        .await?;
    assert_eq!(told, "rolled_back healed", "the half-done one is resolved once");
    assert_eq!(world.text("SELECT count(*) FROM pgheal.repairs WHERE finished_at IS NULL").await?, "0");
    one_is_left(&indexes_of(&world, "docs").await?, &before);
    assert!(standby.try_wait()?.is_none(), "the standby ended by itself");
    standby.kill().await?;
    Ok(())
}
