//! `pgheal run` as a service: signals, the file that changes, the service manager.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Child;

use super::{DEADLINE, eventually};
use crate::cases::support::{ConfigFile, SICK_OPTIONS, World, fill_table, grouped_rows, pgheal_with, start};

const LEADERS: &str = "SELECT count(*) FROM pg_stat_activity \
    WHERE application_name = 'pgheal heartbeat' AND datname = current_database()";
/// Of a repair: the journal's own tables have indexes, too.
const BUILDS: &str = "SELECT count(*) FROM pg_stat_progress_create_index AS p JOIN pg_stat_activity AS a USING (pid) \
    WHERE p.datname = current_database() AND a.application_name = 'pgheal build'";

fn tell(daemon: &Child, signal: &str) -> Result<()> {
    let pid = daemon.id().context("it has ended")?.to_string();
    ensure!(std::process::Command::new("kill").args([signal, &pid]).status()?.success());
    Ok(())
}

/// Gives what it logged.
async fn stopped(daemon: Child) -> Result<String> {
    let output = tokio::time::timeout(DEADLINE, daemon.wait_with_output()).await.context("it does not stop")??;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(0) && !log.contains("panicked"), "{}: {log}", output.status);
    Ok(log)
}

/// What the daemon says to the service manager, one message at a time.
struct Manager {
    socket: UnixDatagram,
    name: String,
}

impl Manager {
    fn listen() -> Result<Manager> {
        let name = format!("pgheal-test-{}-manager", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        socket.set_nonblocking(true)?;
        Ok(Manager { socket, name: format!("@{name}") })
    }

    async fn until(&self, wanted: &str) -> Result<String> {
        eventually(wanted, async || {
            let mut buffer = [0; 4096];
            while let Ok(length) = self.socket.recv(&mut buffer) {
                let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if message.contains(wanted) {
                    return Ok(Some(message));
                }
            }
            Ok(None)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_reads_its_file_again_and_tells_the_service_manager() -> Result<()> {
    let (one, two) = (World::new("daemon_file_one").await?, World::new("daemon_file_two").await?);
    let target = |world: &World| format!("[[target]]\nurl = \"{}\"\n", world.url());
    let config = ConfigFile::write("daemon_file", &target(&one))?;
    let arguments = ["run", "--config", &config.0.display().to_string()];
    let manager = Manager::listen()?;
    let daemon = start(&arguments, &[("NOTIFY_SOCKET", &manager.name), ("WATCHDOG_USEC", "3000000")])?;
    manager.until("READY=1").await?;
    manager.until("WATCHDOG=1").await?;
    eventually("it leads", async || Ok((one.text(LEADERS).await? == "1").then_some(()))).await?;
    manager.until("STATUS=1 of 1 databases led").await?;

    // In place, and told by nobody.
    std::fs::write(&config.0, target(&one) + &target(&two))?;
    manager.until("RELOADING=1").await?;
    eventually("it leads the other one, too", async || Ok((two.text(LEADERS).await? == "1").then_some(()))).await?;
    manager.until("2 of 2 databases led").await?;
    // A bad one, by signal: the old one stays.
    std::fs::write(&config.0, "[[target]]\n")?;
    tell(&daemon, "-HUP")?;
    manager.until("RELOADING=1").await?;
    manager.until("READY=1").await?;
    assert_eq!((one.text(LEADERS).await?, two.text(LEADERS).await?), ("1".to_owned(), "1".to_owned()));
    tell(&daemon, "-TERM")?;
    manager.until("STOPPING=1").await?;
    stopped(daemon).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_the_repair_that_runs() -> Result<()> {
    let world = World::new("daemon_stop").await?;
    fill_table(&world, "docs", &grouped_rows(6_000, 1)).await?;
    world
        .sql(&format!("CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) {SICK_OPTIONS}"))
        .await?;
    let toml =
        format!("[target]\nurl = \"{}\"\n[policy.index_rebalance.settings]\nsurgical_max_share = \"0\"\n", world.url());
    let config = ConfigFile::write("daemon_stop", &toml)?;
    let daemon = start(&["run", "--config", &config.0.display().to_string()], &[])?;
    let statement = world.client.prepare(BUILDS).await?;
    let began = std::time::Instant::now();
    while world.client.query_one(&statement, &[]).await?.get::<_, i64>(0) == 0 {
        ensure!(began.elapsed() < DEADLINE, "it begins no build");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tell(&daemon, "-TERM")?;
    let log = stopped(daemon).await?;
    let told = world
        .text(
            "SELECT string_agg(coalesce(outcome, 'open'), ' ') FROM pgheal.repairs WHERE strategy = 'index_rebalance'",
        )
        .await
        .with_context(|| log.clone())?;
    assert_eq!(told, "healed", "{log}");
    Ok(())
}

#[tokio::test]
async fn a_mistake_in_a_setting_is_no_start() -> Result<()> {
    let config = ConfigFile::write("daemon_mistake", "[target]\nurl = \"postgresql://nobody@127.0.0.1:1/none\"\n")?;
    let path = config.0.display().to_string();
    let run = pgheal_with(&["run", "--config", &path, "--healing-interval-ms", "5"], &[]).await?;
    run.expect(2);
    assert!(run.stderr.contains("1000..86400000"), "{run:#?}");
    let run = pgheal_with(&["run", "--config", &path], &[("PGHEAL_DAG_HEALING_ENABLED", "perhaps")]).await?;
    run.expect(2);
    assert!(run.stderr.contains("PGHEAL_DAG_HEALING_ENABLED"), "{run:#?}");
    Ok(())
}
