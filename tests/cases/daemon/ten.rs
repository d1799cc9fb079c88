//! Ten databases, three of them in trouble at once: a server that hangs, one that crashes again and again, a password that
//! is wrong. The other seven do not notice.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pgheal::daemon::Daemon;
use pgheal::daemon::api::{Engine, TargetState, TargetView};
use pgheal_test_server::Server;

use super::{DEADLINE, Running};
use crate::cases::support::{SharedServer, World, fill_table, grouped_rows, lock, own_server};

const WELL: u64 = 7;
const CRASHES: usize = 2;
/// Cycles that each of the seven makes while the others are in trouble, and before the server that hangs is given up.
const CYCLES: u64 = 4;
const MEASURING: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgheal measure'";

/// A small index that nothing is wrong with.
async fn add_index(world: &World, rows: usize, seed: u64) -> Result<()> {
    fill_table(world, "docs", &grouped_rows(rows, seed)).await?;
    world
        .sql("CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) WITH (m = 32, ef_construction = 128)")
        .await
}

async fn on_its_own(name: &'static str) -> Result<World> {
    let server = tokio::task::spawn_blocking(|| own_server(&[])).await??;
    World::on(server, name, &["vector", "pageinspect"]).await
}

/// Starting and stopping wait for processes.
async fn at(server: &SharedServer, act: fn(&mut Server) -> Result<()>) -> Result<()> {
    let server = Arc::clone(server);
    tokio::task::spawn_blocking(move || act(&mut lock(&server))).await?
}

/// What was ever wrong with targets, by looking at them all the time.
struct Watch {
    complaints: Arc<Mutex<BTreeSet<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    fn begin(daemon: &Arc<Daemon>, before: Vec<Arc<TargetView>>) -> Watch {
        let complaints = Arc::<Mutex<BTreeSet<String>>>::default();
        let (daemon, told) = (Arc::clone(daemon), Arc::clone(&complaints));
        let task = tokio::spawn(async move {
            loop {
                for now in daemon.targets() {
                    let Some(before) = before.iter().find(|before| before.name == now.name) else { continue };
                    if let Some(complaint) = complaint(before, &now) {
                        told.lock().unwrap_or_else(PoisonError::into_inner).insert(complaint);
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Watch { complaints, task }
    }

    fn end(self) -> Vec<String> {
        self.task.abort();
        let complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        complaints.iter().cloned().collect()
    }
}

fn complaint(before: &TargetView, now: &TargetView) -> Option<String> {
    let name = &now.name;
    let failed = now.last_cycle.as_ref().map(|cycle| &cycle.failed_checks).filter(|failed| !failed.is_empty());
    match (&now.state, failed) {
        // Since the same moment: nor was it anything else between two looks.
        (TargetState::Leading, None) if now.state_since == before.state_since => None,
        (TargetState::Leading, None) => Some(format!("{name} was something else than led")),
        (TargetState::Leading, Some(failed)) => Some(format!("{name}: not measured: {failed:?}")),
        (state, _) => Some(format!("{name} is {state:?}")),
    }
}

fn reason(view: &TargetView) -> &str {
    match &view.state {
        TargetState::Failed { reason } => reason,
        _ => "",
    }
}

async fn crash_again_and_again(running: &Running, world: &World) -> Result<()> {
    let name = world.database.as_str();
    for _ in 0..CRASHES {
        at(&world.server, Server::crash).await?;
        let down = running.until(name, "it is down", |view| reason(view).contains("cannot be reached")).await?;
        at(&world.server, Server::restart).await?;
        let is_led_again = |view: &TargetView| {
            let checks = view.metrics.checks_performed;
            view.state == TargetState::Leading && checks > down.metrics.checks_performed
        };
        running.until(name, "it is led again, and looked at", is_led_again).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seven_go_on_while_three_are_in_trouble() -> Result<()> {
    let own = async { tokio::try_join!(on_its_own("ten_hangs"), on_its_own("ten_crashes")) };
    let shared = async {
        let mut worlds = Vec::new();
        for number in 0..WELL {
            let world = World::new(&format!("ten_{number}")).await?;
            add_index(&world, 300, number).await?;
            worlds.push(world);
        }
        Ok((worlds, World::new("ten_refused").await?))
    };
    let ((hangs, crashes), (seven, refused)) = tokio::try_join!(own, shared)?;
    refused.add_password_role("ten_refused", "SUPERUSER", "right").await?;
    // Its cycles take longer.
    add_index(&hangs, 2_000, WELL).await?;
    let mut toml = "[healing]\ncheck_interval_ms = 1000\n".to_owned();
    let urls = seven.iter().chain([&hangs, &crashes]).map(World::url);
    for url in urls.chain([refused.url_as("ten_refused:right")]) {
        toml.push_str(&format!("[[target]]\nurl = \"{url}\"\n"));
    }
    let running = Running::start("daemon_ten", &toml).await?;
    let names: Vec<&str> = seven.iter().map(|world| world.database.as_str()).collect();
    for name in names.iter().copied().chain(["ten_hangs", "ten_crashes", "ten_refused"]) {
        running.until(name, "the first cycle", |view| view.last_cycle.is_some()).await?;
    }

    let before = names.iter().map(|name| running.view(name)).collect::<Result<Vec<_>>>()?;
    let watch = Watch::begin(&running.daemon, before.clone());
    // In the middle of a cycle.
    let measures = async {
        while hangs.text(MEASURING).await? == "0" {}
        anyhow::Ok(())
    };
    tokio::time::timeout(DEADLINE, measures).await.context("it does not measure")??;
    let frozen = lock(&hangs.server).freeze()?;
    refused
        .sql(
            "ALTER ROLE ten_refused PASSWORD 'another'; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ten_refused'",
        )
        .await?;
    let goes_on = async {
        running.until("ten_hangs", "it is told", |view| reason(view).contains("does not answer")).await?;
        for before in &before {
            let enough = before.metrics.checks_performed + CYCLES;
            running.until(&before.name, "its cycles", |view| view.metrics.checks_performed >= enough).await?;
        }
        // Who waited for the one that hangs would go on when that is given up.
        let state = running.view("ten_hangs")?.state.clone();
        ensure!(format!("{state:?}").contains("does not answer for more than 5 s"), "given up already: {state:?}");
        Ok(())
    };
    tokio::try_join!(goes_on, crash_again_and_again(&running, &crashes))?;
    running.until("ten_refused", "it is told", |view| reason(view).contains("refused the password")).await?;
    assert_eq!(watch.end(), Vec::<String>::new());
    let measured = running.view(names[0])?.indexes.first().context("no index")?.recall_at_10;
    assert!(measured.is_some(), "nothing was measured");
    drop(frozen);
    running.stop().await;
    Ok(())
}
