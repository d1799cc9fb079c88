use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pgheal_test_server::{Client, execute};
use tokio::net::TcpListener;

use super::played::{Played, refused};

const STATUS: &str = "SELECT ruvector_dag_healing_status()";
const LIMIT: [&str; 2] = ["--time-limit-ms", "1500"];
/// The limit, and what a slow machine takes for the rest.
const IN_TIME: Duration = Duration::from_secs(6);

/// A listener that takes connections and never says a word. It ends with its value.
struct Silent {
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Silent {
    async fn start() -> Result<Silent> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let task = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
            }
        });
        Ok(Silent { port, task })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The second sessions of calls that were given up end by themselves.
async fn no_session_is_left(client: &Client) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let left: i64 = client
            .query_one("SELECT count(*) FROM pg_stat_activity WHERE usename = 'pgheal_hop_' || datid", &[])
            .await?
            .get(0);
        if left == 0 {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "{left} sessions are left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn absent_silent_or_gone_in_the_middle() -> Result<()> {
    let played = Played::on_shared_server("install_away").await?;
    let client = &played.world.client;
    played
        .world
        .sql("CREATE TABLE silent (); CREATE TABLE dies (); CREATE TABLE babbles (); CREATE TABLE docs ()")
        .await?;

    // Absent: nobody listens. Installing works all the same, and says so.
    let port = Silent::start().await?.port;
    let run = played.install_at(port, &LIMIT).await?;
    run.expect(0);
    assert!(run.stdout.contains("does not answer yet"), "{run:#?}");
    let told =
        refused(client.execute(STATUS, &[]).await, "57P03", &format!("pgheal is not reachable at 127.0.0.1:{port}"));
    assert!(told.contains("never seen"), "{told}");

    // Silent: it takes the connection and says nothing.
    let silent = Silent::start().await?;
    played.install_at(silent.port, &LIMIT).await?.expect(0);
    let began = Instant::now();
    refused(client.execute(STATUS, &[]).await, "57P03", "did not answer within 1500 ms");
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    no_session_is_left(client).await?;
    // Whoever waits can stop waiting, and the next call works as the first one did.
    execute(client, "SET statement_timeout = '300ms'").await?;
    let began = Instant::now();
    refused(client.execute(STATUS, &[]).await, "57014", "statement timeout");
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    execute(client, "RESET statement_timeout").await?;
    no_session_is_left(client).await?;
    let open = client.query_one("SELECT coalesce(cardinality(pgheal.dblink_get_connections()), 0)", &[]).await?;
    assert_eq!(open.get::<_, i32>(0), 0, "the second session's connection is open");
    refused(client.execute(STATUS, &[]).await, "57P03", "did not answer within 1500 ms");

    // It logs in, and then: never answers, dies, answers what is no answer, knows no such user.
    played.install_at(port_of(&played), &LIMIT).await?.expect(0);
    client.execute(STATUS, &[]).await?;
    let began = Instant::now();
    refused(
        client.execute("SELECT ruvector_dag_health_check('silent')", &[]).await,
        "57P03",
        "did not answer within 1500 ms",
    );
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    no_session_is_left(client).await?;
    let told = refused(
        client.execute("SELECT ruvector_dag_repair('dies', 'x')", &[]).await,
        "57P03",
        "ended the connection before it had answered",
    );
    assert!(told.contains("ruvector_dag_repair_history()"), "{told}");
    refused(client.execute("SELECT ruvector_dag_health_check('babbles')", &[]).await, "57P03", "is not pgheal");
    client.execute(STATUS, &[]).await?;
    execute(&played.daemon, "ALTER ROLE install_away_forwarder PASSWORD 'another'").await?;
    refused(client.execute(STATUS, &[]).await, "57P03", "[endpoint.user]");
    Ok(())
}

fn port_of(played: &Played) -> u16 {
    crate::cases::support::lock(&played.world.server).port()
}

/// The daemon's heartbeat is a session; that of a daemon that is gone, the time at which its counters were saved.
#[tokio::test]
async fn when_it_was_last_seen() -> Result<()> {
    let played = Played::on_shared_server("install_seen").await?;
    let port = Silent::start().await?.port;
    played.world.sql("CREATE ROLE install_seen_daemon LOGIN; CREATE ROLE install_seen_forger LOGIN").await?;
    played.install_at(port, &["--daemon-role", "install_seen_daemon"]).await?.expect(0);
    let client = &played.world.client;
    let seen = async |part: &str| refused(client.execute(STATUS, &[]).await, "57P03", part);
    let heartbeat = "SET application_name = 'pgheal heartbeat'; SELECT";
    let forger = Client::connect(&played.world.url_as("install_seen_forger")).await?;
    execute(&forger, heartbeat).await?;
    seen("never seen in this database").await;

    let daemon = Client::connect(&played.world.url_as("install_seen_daemon")).await?;
    execute(
        &daemon,
        "CREATE TABLE pgheal.metrics (saved_at timestamptz); INSERT INTO pgheal.metrics VALUES (now() - interval '1 hour')",
    )
    .await?;
    let ago = seconds_ago(&seen("last seen ").await)?;
    assert!((3_600..3_660).contains(&ago), "{ago}");
    execute(&daemon, heartbeat).await?;
    let ago = seconds_ago(&seen("last seen ").await)?;
    assert!(ago < 60, "{ago}");
    Ok(())
}

/// The number in `(12 s ago)`.
fn seconds_ago(text: &str) -> Result<u64> {
    let (before, _) = text.split_once(" s ago)").with_context(|| text.to_owned())?;
    let (_, number) = before.rsplit_once('(').with_context(|| text.to_owned())?;
    Ok(number.parse()?)
}
