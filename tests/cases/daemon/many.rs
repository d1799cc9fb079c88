//! Several databases: one that hangs, refuses or does not exist does not delay another.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pgheal::daemon::api::{Caller, Engine, Refusal, Role, TargetState};

use super::Running;
use crate::cases::support::{World, fill_table, grouped_rows, lock, own_server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_a_refusing_and_an_absent_one_leave_the_others_alone() -> Result<()> {
    let well = World::new("daemon_well").await?;
    fill_table(&well, "docs", &grouped_rows(500, 1)).await?;
    well.sql(
        "CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) WITH (m = 32, ef_construction = 128)",
    )
    .await?;
    well.add_password_role("daemon_refused", "", "right").await?;
    let hangs = World::on(own_server(&[])?, "daemon_hangs", &["vector", "pageinspect"]).await?;
    let password = std::env::temp_dir().join(format!("pgheal-test-{}-password", std::process::id()));
    fs::write(&password, "wrong\n")?;
    let toml = format!(
        "[healing]\ncheck_interval_ms = 1000\n\
         [[target]]\nurl = \"{}\"\n[[target]]\nname = \"hangs\"\nurl = \"{}\"\n\
         [[target]]\nname = \"refused\"\nurl = \"{}\"\npassword_file = \"{}\"\n\
         [[target]]\nname = \"absent\"\nurl = \"postgresql://postgres@127.0.0.1:1/none\"\n",
        well.url(),
        hangs.url(),
        well.url_as("daemon_refused"),
        password.display()
    );
    let running = Running::start("daemon_many", &toml).await?;
    running.until("hangs", "the first cycle", |view| view.last_cycle.is_some()).await?;
    running.until("daemon_well", "the first cycle", |view| view.last_cycle.is_some()).await?;
    let refused =
        running.until("refused", "the refusal", |view| matches!(view.state, TargetState::Failed { .. })).await?;
    assert!(format!("{:?}", refused.state).contains("refused the password"), "{refused:#?}");
    let absent =
        running.until("absent", "the failure", |view| matches!(view.state, TargetState::Failed { .. })).await?;
    assert!(format!("{:?}", absent.state).contains("cannot be reached"), "{absent:#?}");

    let frozen = lock(&hangs.server).freeze()?;
    let began = Instant::now();
    let silent = running.until("hangs", "it is told", |view| matches!(view.state, TargetState::Failed { .. })).await?;
    assert!(format!("{:?}", silent.state).contains("does not answer"), "{silent:#?}");
    let checks = running.view("daemon_well")?.metrics.checks_performed;
    // Questions about it are answered, and by what is known.
    let asked = Instant::now();
    let operator = Caller { name: "ann".to_owned(), role: Role::Operator };
    let answer = running.daemon.repair("hangs", "docs", "low_recall-1", &operator).await;
    assert!(matches!(answer, Err(Refusal::Unavailable(_))), "{answer:?}");
    let answer = running.daemon.history("hangs", None, 7).await;
    assert!(matches!(answer, Err(Refusal::Unavailable(_))), "{answer:?}");
    assert!(running.daemon.detected_issues("hangs", None).await?.is_empty());
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    running.until("daemon_well", "its cycles go on", |view| view.metrics.checks_performed > checks).await?;
    let slowest = running.view("daemon_well")?.last_cycle.clone().context("a cycle")?.duration;
    assert!(slowest < began.elapsed(), "{slowest:?}");

    // It comes back, and so does the care.
    drop(frozen);
    running.until("hangs", "it is led again", |view| view.state == TargetState::Leading).await?;
    let checks = running.view("hangs")?.metrics.checks_performed;
    running.until("hangs", "its cycles go on", |view| view.metrics.checks_performed > checks).await?;
    // A password that is right meanwhile needs no restart.
    fs::write(&password, "right\n")?;
    running.daemon.reload()?;
    running.until("refused", "it gets in", |view| format!("{:?}", view.state).contains("permission denied")).await?;
    running.stop().await;
    fs::remove_file(password)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_come_and_go_with_the_file() -> Result<()> {
    let (one, two) = (World::new("daemon_one").await?, World::new("daemon_two").await?);
    let target = |world: &World| format!("[[target]]\nurl = \"{}\"\n", world.url());
    let running = Running::start("daemon_come_and_go", &target(&one)).await?;
    let first = running.until("daemon_one", "the first cycle", |view| view.last_cycle.is_some()).await?;
    fs::write(&running.config.0, target(&one) + &target(&two))?;
    running.daemon.reload()?;
    running.until("daemon_two", "the first cycle", |view| view.last_cycle.is_some()).await?;
    // The one that stays was not touched.
    assert_eq!(running.view("daemon_one")?.state_since, first.state_since);
    let names: Vec<String> = running.daemon.targets().iter().map(|view| view.name.clone()).collect();
    assert_eq!(names, ["daemon_one", "daemon_two"]);

    fs::write(&running.config.0, target(&two) + &target(&two))?;
    let refused = format!("{:#}", running.daemon.reload().expect_err("a name twice"));
    assert!(refused.contains("two targets are named daemon_two"), "{refused}");
    assert_eq!(running.daemon.targets().len(), 2);

    fs::write(&running.config.0, target(&two))?;
    running.daemon.reload()?;
    assert_eq!(running.daemon.targets().len(), 1);
    super::eventually("the lead of the one that left is free", async || {
        let held = one
            .text(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            )
            .await?;
        Ok((held == "0").then_some(()))
    })
    .await?;
    running.stop().await;
    Ok(())
}
