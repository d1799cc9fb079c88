//! Questions to the running daemon, and repairs that somebody asks for.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pgheal::daemon::api::{Engine, Refusal, Role, TargetState};
use pgheal_test_server::execute;

use super::{Running, caller, eventually};
use crate::cases::support::{SICK_OPTIONS, World, fill_table, grouped_rows, indexes_of, one_is_left};

const TARGET: &str = "ask";
/// Longer than a measurement of these tables takes, by far.
const WAIT: Duration = Duration::from_secs(30);

/// Nothing is repaired without being asked, and only a rebuild is tried.
fn settings(world: &World) -> String {
    format!(
        "[target]\nname = \"{TARGET}\"\nurl = \"{}\"\n[healing]\nauto_heal_enabled = false\n\
         [repair]\nexclude = [\"left_alone_idx\"]\n[policy.index_rebalance.settings]\nsurgical_max_share = \"0\"\n",
        world.url()
    )
}

async fn world(name: &str) -> Result<World> {
    let world = World::new(name).await?;
    let rows = grouped_rows(2_000, 1);
    fill_table(&world, "docs", &rows).await?;
    fill_table(&world, "left_alone", &rows).await?;
    world
        .sql(&format!(
            "CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) {SICK_OPTIONS}; \
             CREATE INDEX left_alone_idx ON left_alone USING hnsw (embedding vector_cosine_ops) {SICK_OPTIONS}; \
             CREATE SCHEMA \"My Sch\"; CREATE TABLE \"My Sch\".\"Parts\" (id int, v vector(3)) PARTITION BY RANGE (id); \
             CREATE TABLE \"My Sch\".low PARTITION OF \"My Sch\".\"Parts\" FOR VALUES FROM (0) TO (100); \
             INSERT INTO \"My Sch\".\"Parts\" SELECT g, ARRAY[g, 1, 2]::vector(3) FROM generate_series(1, 50) AS g; \
             CREATE INDEX parts_idx ON \"My Sch\".\"Parts\" USING hnsw (v vector_l2_ops)"
        ))
        .await?;
    Ok(world)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repair_is_asked_for_and_answered_at_once() -> Result<()> {
    let world = world("daemon_asked").await?;
    let before = indexes_of(&world, "docs").await?[0].clone();
    let running = Running::start("daemon_asked", &settings(&world)).await?;
    let daemon = &running.daemon;
    let view = running.until(TARGET, "the first cycle", |view| view.last_cycle.is_some()).await?;
    assert_eq!((view.state.clone(), view.auto_heal_enabled), (TargetState::Leading, false));
    assert_eq!(view.database, "daemon_asked");
    let docs = view.indexes.iter().find(|index| index.name == "docs_idx").context("docs_idx was not measured")?;
    assert!(docs.recall_at_10.is_some_and(|recall| recall < 0.95), "{docs:#?}");
    assert_eq!(docs.document["name"], "docs_idx");
    assert_eq!(docs.verdict, docs.document["verdict"]);

    // Names as a person writes them.
    for name in ["docs", "DOCS", "public.docs", "\"docs\""] {
        let found = daemon.health_check(TARGET, name, WAIT).await?;
        assert_eq!(found.iter().map(|index| index.name.as_str()).collect::<Vec<_>>(), ["docs_idx"], "{name}");
    }
    let parts = daemon.health_check(TARGET, "\"My Sch\".\"Parts\"", WAIT).await?;
    assert_eq!(parts.iter().map(|index| index.table.as_str()).collect::<Vec<_>>(), ["low"]);
    for name in ["nowhere", "docs; DROP TABLE docs", "docs_idx", "'docs'"] {
        let refused = daemon.health_check(TARGET, name, WAIT).await;
        assert!(matches!(refused, Err(Refusal::UnknownTable(_))), "{name}: {refused:?}");
    }

    let issues = daemon.detected_issues(TARGET, Some("docs")).await?;
    let issue = issues.first().context("no issue")?;
    assert!(!issue.explanation.is_empty(), "{issue:#?}");
    let id = issue.issue.id.as_str();
    assert!(daemon.detected_issues(TARGET, None).await?.len() > issues.len());

    // What is refused.
    let (operator, reader) = (caller(Role::Operator), caller(Role::Reader));
    let refused = daemon.repair(TARGET, "docs", id, &reader).await;
    assert!(matches!(refused, Err(Refusal::NotPermitted(_))), "{refused:?}");
    let refused = daemon.repair(TARGET, "left_alone", id, &operator).await;
    assert!(matches!(refused, Err(Refusal::UnknownIssue(_))), "another table's issue: {refused:?}");
    let alone = daemon.detected_issues(TARGET, Some("left_alone")).await?;
    let refused = daemon.repair(TARGET, "left_alone", &alone[0].issue.id, &operator).await;
    assert!(matches!(refused, Err(Refusal::NotPermitted(_))), "an excluded index: {refused:?}");
    let refused = daemon.repair("nobody", "docs", id, &operator).await;
    assert!(matches!(refused, Err(Refusal::UnknownTarget(_))), "{refused:?}");

    // A transaction that holds every lock there is on the table: answers come all the same.
    let mut holder = world.connect().await?;
    let transaction = holder.transaction().await?;
    execute(transaction.client(), "LOCK TABLE docs IN ACCESS EXCLUSIVE MODE").await?;
    let began = Instant::now();
    let ticket = daemon.repair(TARGET, "docs", id, &operator).await?;
    let running_already = daemon.repair(TARGET, "docs", id, &operator).await;
    assert!(matches!(running_already, Err(Refusal::Running(_))), "{running_already:?}");
    let seen = daemon.health_check(TARGET, "docs", Duration::from_millis(500)).await?;
    assert_eq!(seen.len(), 1);
    assert!(daemon.detected_issues(TARGET, Some("docs")).await?.iter().any(|i| i.issue.id == id));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let active = running.view(TARGET)?.active_repairs.clone();
    assert_eq!((active[0].ticket, active[0].issue_id.as_str()), (Some(ticket.id), id), "{active:?}");
    transaction.rollback().await?;

    let sql = format!("SELECT state || '|' || caller || '|' || answer FROM pgheal.requests WHERE id = {}", ticket.id);
    let answer = eventually("the request ends", async || {
        let answer = world.text(&sql).await?;
        Ok((!answer.starts_with("accepted")).then_some(answer))
    })
    .await?;
    assert!(answer.starts_with("ended|operator|") && answer.contains("index_rebalance"), "{answer}");
    running.until(TARGET, "no repair is active", |view| view.active_repairs.is_empty()).await?;
    let history = daemon.history(TARGET, Some("docs"), 1).await?;
    assert!(history.iter().any(|r| r.outcome == Some(pgheal::model::Outcome::Healed)), "{answer}: {history:#?}");
    assert!(daemon.history(TARGET, Some("left_alone"), 1).await?.is_empty());
    assert!(matches!(daemon.history(TARGET, Some("nowhere"), 1).await, Err(Refusal::UnknownTable(_))));
    one_is_left(&indexes_of(&world, "docs").await?, &before);
    let view = running.view(TARGET)?;
    assert_eq!((view.metrics.repairs_initiated, view.metrics.repairs_successful), (1, 1), "{:#?}", view.metrics);
    // Without waiting for the next cycle, which is minutes away.
    running
        .until(TARGET, "the issue is gone from the view", |view| {
            view.indexes.iter().any(|index| index.name == "docs_idx" && index.issues.iter().all(|i| i.id != id))
        })
        .await?;
    let gone = daemon.repair(TARGET, "docs", id, &operator).await;
    assert!(matches!(gone, Err(Refusal::UnknownIssue(_))), "{gone:?}");
    running.stop().await;
    Ok(())
}
