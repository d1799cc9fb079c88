//! All of it together: the program as a daemon, its endpoint, the functions in the database, and the specification's SQL
//! line by line, through the functions and at the endpoint.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pgheal_test_server::{Client, single};
use serde_json::Value;

use super::support::{ConfigFile, SICK_OPTIONS, World, fill_table, free_port, grouped_rows, pgheal_with, start};

const DEADLINE: Duration = Duration::from_secs(60);
/// What an answer may take while its caller holds locks; the functions' own limit is 10 s.
const AT_ONCE: Duration = Duration::from_secs(10);
const PASSWORDS: [(&str, &str); 2] = [("PGHEAL_ENDPOINT_PASSWORD", "of the functions"), ("DBA_PASSWORD", "of-the-dba")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_specifications_sql_against_a_daemon() -> Result<()> {
    let world = World::new("whole").await?;
    fill_table(&world, "documents", &grouped_rows(2_000, 5)).await?;
    world
        .sql(&format!(
            "CREATE INDEX documents_idx ON documents USING hnsw (embedding vector_cosine_ops) {SICK_OPTIONS}"
        ))
        .await?;
    let port = free_port()?;
    let settings = format!(
        "[[target]]\nurl = \"{}\"\n[healing]\nauto_heal_enabled = false\ncheck_interval_ms = 1000\n\
         [endpoint]\nlisten = \"127.0.0.1:{port}\"\n\
         [endpoint.user.pgheal_functions]\npassword_env = \"PGHEAL_ENDPOINT_PASSWORD\"\nrole = \"reader\"\nforwards = true\n\
         [endpoint.user.dba]\npassword_env = \"DBA_PASSWORD\"\nrole = \"admin\"\n",
        world.url()
    );
    let config = ConfigFile::write("whole", &settings)?;
    let mut daemon = start(&["run", "--config", &config.0.display().to_string()], &PASSWORDS)?;
    let install = ["install", &world.url(), "--endpoint", &format!("127.0.0.1:{port}")];
    pgheal_with(&install, &PASSWORDS).await?.expect(0);

    let status = "SELECT ruvector_dag_healing_status()";
    let state = until(&world.client, status, |status| status["indexes"]["critical"] == 1).await?;
    assert_eq!((&state["state"], &state["auto_heal_enabled"]), (&"leading".into(), &false.into()), "{state:#}");
    let health = answer(&world.client, "SELECT ruvector_dag_health_check('documents')").await?;
    assert_eq!(health["indexes"][0]["name"], "documents_idx", "{health:#}");
    assert!(health["indexes"][0]["recall_at_10"].as_f64().is_some_and(|recall| recall < 0.9), "{health:#}");
    let issues = "SELECT issue_id FROM ruvector_dag_detected_issues('documents') ORDER BY severity, issue_id LIMIT 1";
    let issue = world.text(issues).await?;

    // The same at the endpoint, by another client's protocol.
    let dba = Client::connect(&format!("postgresql://dba:of-the-dba@127.0.0.1:{port}/whole")).await?;
    assert_eq!(single(&dba, issues).await?.as_deref(), Some(issue.as_str()));
    assert_eq!(answer(&dba, status).await?["indexes"], state["indexes"]);
    let health = answer(&dba, "SELECT ruvector_dag_health_check('documents')").await?;
    assert_eq!(health["indexes"][0]["name"], "documents_idx", "{health:#}");

    // Locks of the caller's transaction are nobody's to wait for.
    world.sql("BEGIN; LOCK TABLE documents IN ACCESS EXCLUSIVE MODE").await?;
    for question in [status, "SELECT ruvector_dag_health_check('documents')", issues] {
        let began = Instant::now();
        ensure!(!world.text(question).await?.is_empty());
        ensure!(began.elapsed() < AT_ONCE, "{question} took {:?}", began.elapsed());
    }
    world.sql("ROLLBACK").await?;

    // Who may not, and what is not there, is told why.
    let mut refusals = vec![(world.connect().await?, "SELECT ruvector_dag_repair('documents', 'none')", "no issue")];
    world.sql("CREATE ROLE whole_guest LOGIN").await?;
    let guest = Client::connect(&world.url_as("whole_guest")).await?;
    refusals.push((guest, "SELECT ruvector_dag_repair('documents', 'none')", "permission denied"));
    for (client, statement, reason) in &refusals {
        let refusal = client.simple_query(statement).await.err().context("it is not refused")?;
        let message = refusal.as_db_error().map(|error| error.message().to_owned()).unwrap_or_default();
        ensure!(message.contains(reason), "{message:?} does not say {reason:?}");
    }

    let ticket = answer(&world.client, &format!("SELECT ruvector_dag_repair('documents', '{issue}')")).await?;
    assert!(ticket["ticket"].is_i64(), "{ticket:#}");
    // A strategy that cannot help says so first.
    let history = "SELECT coalesce((SELECT jsonb_build_object('outcome', outcome, 'issue', issue_id) \
                   FROM ruvector_dag_repair_history('documents', 7) WHERE outcome = 'healed' LIMIT 1), '{}')";
    let ended = until(&world.client, history, |record| record["outcome"].is_string()).await?;
    assert_eq!((&ended["outcome"], &ended["issue"]), (&"healed".into(), &issue.as_str().into()), "{ended:#}");
    let records = "SELECT outcome FROM ruvector_dag_repair_history('documents', 7) LIMIT 1";
    assert_eq!(single(&dba, records).await?.as_deref(), Some("healed"));

    // A session's settings travel with its calls; at the endpoint they change the engine.
    for (name, value) in [("enabled", "true"), ("interval_ms", "300000"), ("threshold", "0.3")] {
        world.sql(&format!("SET ruvector.dag_healing_{name} = {value}")).await?;
    }
    let told = answer(&world.client, status).await?;
    let of_session = |setting: &Value| setting["source"] == "session";
    assert!(told["settings"].as_array().is_some_and(|all| all.len() == 3 && all.iter().all(of_session)), "{told:#}");
    dba.simple_query("SET ruvector.dag_healing_interval_ms = 2000").await?;
    assert_eq!(single(&dba, "SHOW ruvector.dag_healing_interval_ms").await?.as_deref(), Some("2000"));
    ensure!(dba.simple_query("SET ruvector.dag_healing_interval_ms = 1").await.is_err(), "out of range");
    let fresh = answer(&world.connect().await?, status).await?;
    let interval = |setting: &&Value| setting["name"] == "ruvector.dag_healing_interval_ms";
    let interval = fresh["settings"].as_array().and_then(|all| all.iter().find(interval)).context("no interval")?;
    assert_eq!((&interval["value"], &interval["source"]), (&"2000".into(), &"endpoint".into()));

    ensure!(daemon.try_wait()?.is_none(), "the daemon has ended");
    daemon.kill().await?;
    let away = world.client.simple_query(status).await.err().context("a daemon that is gone answers")?;
    let message = away.as_db_error().map(|error| error.message().to_owned()).unwrap_or_default();
    ensure!(message.contains("not reachable") && message.contains("last seen"), "{message}");
    Ok(())
}

async fn answer(client: &Client, sql: &str) -> Result<Value> {
    let text = single(client, sql).await?.with_context(|| format!("{sql} answers nothing"))?;
    Ok(serde_json::from_str(&text)?)
}

/// Asks until the answer is as it should be; refusals in between (the daemon starts) are no end.
async fn until(client: &Client, sql: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
    let began = Instant::now();
    loop {
        let found = answer(client, sql).await;
        match &found {
            Ok(value) if holds(value) => return found,
            _ if began.elapsed() > DEADLINE => return found.and_then(|value| anyhow::bail!("in vain: {value:#}")),
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
