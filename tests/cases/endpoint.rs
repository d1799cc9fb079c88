//! The daemon's SQL endpoint, on an engine that is played: what clients get over TCP, TLS and the socket, and what those
//! get who mean harm.

mod limits;
mod played;
mod served;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pgheal::config::EndpointConfig;
use served::{PASSWORD, Served, exists, plain, refused, tls};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, SimpleQueryMessage};

/// All that waits gives up after this.
const DEADLINE: Duration = Duration::from_secs(10);

/// The values of a simple query, rows by `;`, columns by `|`.
async fn text(client: &Client, sql: &str) -> Result<String> {
    let mut rows = Vec::new();
    for message in client.simple_query(sql).await.with_context(|| sql.to_owned())? {
        if let SimpleQueryMessage::Row(row) = message {
            let values: Vec<&str> = (0..row.len()).map(|column| row.get(column).unwrap_or("NULL")).collect();
            rows.push(values.join("|"));
        }
    }
    Ok(rows.join(";"))
}

/// Simple and extended, text and binary, with parameters.
async fn speaks_sql(client: &Client) -> Result<()> {
    assert_eq!(text(client, "SELECT target, state FROM pgheal.targets").await?, "shop|leading");
    let status = client.query_one("SELECT ruvector_dag_healing_status()", &[]).await?;
    let status: serde_json::Value = status.get(0);
    assert_eq!((&status["state"], &status["indexes"]["degraded"]), (&"leading".into(), &1.into()));
    let issues = client
        .query(
            "SELECT issue_id, evidence, detected_at FROM ruvector_dag_detected_issues($1) WHERE kind = $2 LIMIT $3",
            &[&"docs", &"stale_training", &2i64],
        )
        .await?;
    assert_eq!(issues.len(), 2);
    assert_eq!(issues[0].get::<_, &str>(0), "stale_training-1");
    assert_eq!(issues[0].get::<_, serde_json::Value>(1)[0]["value"], "200 h");
    let detected: std::time::SystemTime = issues[0].get(2);
    assert_eq!(detected.duration_since(std::time::UNIX_EPOCH)?.as_secs(), 120);
    let history = client
        .query_one(
            "SELECT id, duration_ms, reason, outcome FROM ruvector_dag_repair_history($1, $2)",
            &[&"docs", &30i32],
        )
        .await?;
    assert_eq!((history.get::<_, i64>(0), history.get::<_, i64>(1)), (1, 1_500));
    assert_eq!((history.get::<_, &str>(2), history.get::<_, &str>(3)), ("of 30 days", "healed"));
    let index = client.query_one("SELECT recall_at_10, recall_p5, size_bytes FROM pgheal.indexes", &[]).await?;
    assert_eq!((index.get::<_, f64>(0), index.get::<_, Option<f64>>(1), index.get::<_, i64>(2)), (0.9, None, 8_192));
    let statement = client.prepare_typed("SELECT $1 = 'docs', $2::int8", &[Type::VARCHAR, Type::INT4]).await?;
    let row = client.query_one(&statement, &[&"docs", &5i32]).await?;
    assert_eq!((row.get::<_, bool>(0), row.get::<_, i64>(1)), (true, 5));
    Ok(())
}

#[tokio::test]
async fn every_way_in_speaks_sql() -> Result<()> {
    let served = Served::start().await?;
    for client in
        [served.connect("reader").await?, served.connect_unix("reader").await?, served.connect_tls("reader").await?]
    {
        speaks_sql(&client).await?;
    }
    Ok(())
}

#[tokio::test]
async fn transactions_portals_and_prepared_statements() -> Result<()> {
    let served = Served::start().await?;
    let mut client = served.connect("operator").await?;
    let transaction = client.transaction().await?;
    let portal = transaction.bind("SELECT issue_id FROM pgheal.issues", &[]).await?;
    assert_eq!(transaction.query_portal(&portal, 2).await?.len(), 2);
    assert_eq!(transaction.query_portal(&portal, 2).await?.len(), 1);
    assert_eq!(transaction.query_portal(&portal, 2).await?.len(), 0);
    transaction.commit().await?;

    let mut transaction = client.transaction().await?;
    let savepoint = transaction.savepoint("a").await?;
    assert_eq!(refused(savepoint.query("SELECT nothing", &[]).await).0, "42703");
    assert_eq!(refused(savepoint.query("SELECT 1", &[]).await).0, "25P02");
    savepoint.rollback().await?;
    assert_eq!(transaction.query_one("SELECT 1", &[]).await?.get::<_, i32>(0), 1);
    transaction.rollback().await?;

    // An error in a series of statements ends it, and the session goes on.
    assert_eq!(refused(client.batch_execute("SELECT 1; SELECT nothing; SELECT 2").await).0, "42703");
    assert_eq!(text(&client, "; ;").await?, "");
    assert_eq!(text(&client, "SELECT 1; SELECT 2").await?, "1;2");
    client.batch_execute("DISCARD ALL; DEALLOCATE ALL; RESET ALL").await?;
    let ticket: serde_json::Value =
        client.query_one("SELECT ruvector_dag_repair($1, $2)", &[&"docs", &"x-1"]).await?.get(0);
    assert_eq!(ticket["ticket"], 7);
    assert_eq!(*served.engine.asked.lock().unwrap(), ["operator repairs docs x-1"]);
    Ok(())
}

#[tokio::test]
async fn what_drivers_and_tools_ask_first() -> Result<()> {
    let served = Served::start().await?;
    let client = served.connect("reader").await?;
    for (sql, expected) in [
        ("SELECT current_user, current_database()", "reader|shop"),
        ("SHOW server_version_num", "160000"),
        ("SHOW TRANSACTION ISOLATION LEVEL", "read committed"),
        ("show standard_conforming_strings", "on"),
        ("SET extra_float_digits = 3; SHOW extra_float_digits", "3"),
        ("SET application_name = 'PostgreSQL JDBC Driver'; SHOW application_name", "PostgreSQL JDBC Driver"),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", ""),
        ("SET DateStyle=ISO; SET client_min_messages=notice; SET client_encoding='utf-8'", ""),
        ("SELECT oid, datname FROM pg_catalog.pg_database WHERE datname = current_database()", "16384|shop"),
        ("SELECT roles.rolsuper FROM pg_catalog.pg_roles AS roles WHERE rolname = current_user", "f"),
        ("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'pgheal'", "8"),
        ("BEGIN READ ONLY; SELECT 1; COMMIT", "1"),
        ("SELECT pg_is_in_recovery()", "f"),
    ] {
        assert_eq!(text(&client, sql).await?, expected, "{sql}");
    }
    let (code, message) = refused(client.simple_query("SELECT c.oid FROM pg_catalog.pg_class c").await);
    assert_eq!(code, "0A000");
    assert!(message.contains("this is pgheal"), "{message}");
    assert!(text(&client, "SELECT version()").await?.starts_with("PostgreSQL 16"));
    Ok(())
}

#[tokio::test]
async fn psql_works_line_by_line() -> Result<()> {
    if Command::new("psql").arg("--version").output().is_err() {
        eprintln!("psql is not installed: left out");
        return Ok(());
    }
    let served = Served::start().await?;
    let psql = async |connection: String, lines: &str| -> Result<(bool, String)> {
        let lines: Vec<String> = lines.lines().map(|line| line.trim().to_owned()).filter(|l| !l.is_empty()).collect();
        let output = tokio::task::spawn_blocking(move || {
            let mut command = Command::new("psql");
            command.env("PGPASSWORD", PASSWORD).env("LC_ALL", "C.UTF-8").args(["-X", "-A", "-t", "-d", &connection]);
            for line in &lines {
                command.args(["-c", line]);
            }
            command.output()
        })
        .await??;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
    };
    let port = served.port;
    let tcp = format!("host=127.0.0.1 port={port} user=admin dbname=shop sslmode=disable");
    let tls = format!("host=127.0.0.1 port={port} user=admin dbname=shop sslmode=require channel_binding=require");
    let unix = format!("host={} port={port} user=admin dbname=shop", served.directory.0.display());
    let block = "SELECT ruvector_dag_healing_status();
                 SELECT ruvector_dag_health_check('docs');
                 SELECT * FROM ruvector_dag_detected_issues('docs');
                 SELECT ruvector_dag_repair('docs', 'stale_training-1');
                 SELECT * FROM ruvector_dag_repair_history('docs', 7);
                 SET ruvector.dag_healing_enabled = true;
                 SET ruvector.dag_healing_interval_ms = 300000;
                 SET ruvector.dag_healing_threshold = 0.3;
                 SHOW ruvector.dag_healing_threshold;";
    for connection in [&tcp, &tls, &unix] {
        let (is_well, said) = psql(connection.clone(), block).await?;
        assert!(is_well, "{connection}: {said}");
        for part in ["\"leading\"", "docs_idx", "stale_training-3", "\"ticket\": 7", "of 7 days", "0.3"] {
            assert!(said.contains(part), "{connection}: no {part} in {said}");
        }
    }
    let (_, said) = psql(tcp.clone(), "\\d").await?;
    assert!(said.contains("this is pgheal") && said.contains("pgheal.issues"), "{said}");
    let (is_well, said) = psql(tcp.replace("user=admin", "user=nobody"), "SELECT 1").await?;
    assert!(!is_well && said.contains("password authentication failed for user \"nobody\""), "{said}");
    Ok(())
}

#[tokio::test]
async fn nobody_comes_in_without_the_password() -> Result<()> {
    let served = Served::with(|config| config.require_tls = Some(true)).await?;
    let (code, message) = refused(served.connect("reader").await);
    assert_eq!((code.as_str(), message.as_str()), ("28000", "a connection without TLS is refused"));
    served.connect_tls("reader").await?;
    served.connect_unix("reader").await?;

    let served = Served::start().await?;
    for (user, password) in [("reader", "wrong"), ("nobody", PASSWORD), ("reader", "")] {
        let mut config = served.client(user);
        config.password(password);
        let (code, message) = refused(plain(&config).await);
        assert_eq!(code, "28P01");
        assert_eq!(message, format!("password authentication failed for user {user:?}"));
    }
    let mut config = served.client("reader");
    config.dbname("other");
    let (code, message) = refused(plain(&config).await);
    assert_eq!(code, "3D000", "{message}");
    // A database names its target, and all is one where there is one.
    for database in ["shop_db", "pgheal"] {
        config.dbname(database);
        assert!(text(&plain(&config).await?, "SELECT ruvector_dag_healing_status()").await?.contains("shop"));
    }
    Ok(())
}

#[tokio::test]
async fn roles_bound_what_is_done() -> Result<()> {
    let served = Served::start().await?;
    let reader = served.connect("reader").await?;
    let operator = served.connect("operator").await?;
    let admin = served.connect("admin").await?;
    let forwarder = served.connect("forwarder").await?;
    let set = "SET ruvector.dag_healing_threshold = 0.5";
    assert_eq!(refused(reader.simple_query("SELECT ruvector_dag_repair('docs', 'x')").await).0, "42501");
    assert_eq!(refused(operator.simple_query(set).await).0, "42501");
    admin.simple_query(set).await?;
    let call = |role: &str| {
        format!(r#"{{"caller":"bob","role":"{role}","function":"ruvector_dag_repair","arguments":["docs","y"]}}"#)
    };
    let forward = "SELECT pgheal.forward($1)";
    assert_eq!(refused(admin.query_one(forward, &[&call("operator")]).await).0, "42501");
    assert_eq!(refused(forwarder.query_one(forward, &[&call("reader")]).await).0, "42501");
    let row = forwarder.query_one(forward, &[&call("operator")]).await?;
    assert_eq!(row.columns()[0].name(), "answer");
    assert_eq!(row.get::<_, &str>(0), r#"{"message":"asked for","ticket":7}"#);
    let asked = served.engine.asked.lock().unwrap().clone();
    assert_eq!(asked, ["admin sets ruvector.dag_healing_threshold to Some(\"0.5\")", "bob repairs docs y"]);
    Ok(())
}

#[tokio::test]
async fn a_statement_is_cancelled() -> Result<()> {
    let served = Served::start().await?;
    for in_tls in [false, true] {
        let client = if in_tls { served.connect_tls("reader").await? } else { served.connect("reader").await? };
        let token = client.cancel_token();
        let began = Instant::now();
        let cancel = async {
            // The statement is under way when it is cancelled, however slow the machine: cancel until it is.
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let sent = if in_tls {
                    token.cancel_query(tls()?).await
                } else {
                    token.cancel_query(tokio_postgres::NoTls).await
                };
                sent?;
                anyhow::ensure!(began.elapsed() < DEADLINE, "not cancelled");
            }
            #[allow(unreachable_code)]
            anyhow::Ok(())
        };
        let slow = client.query("SELECT ruvector_dag_health_check('slow')", &[]);
        tokio::select! {
            result = slow => assert_eq!(refused(result).0, "57014"),
            result = cancel => result?,
        }
        assert_eq!(text(&client, "SELECT 1").await?, "1");
    }
    Ok(())
}

#[tokio::test]
async fn a_new_configuration_holds_for_new_sessions() -> Result<()> {
    let mut served = Served::start().await?;
    let before = served.connect("reader").await?;
    let changed = served.directory.secret("changed", b"another")?;
    let mut config = served.config.clone();
    config.user.get_mut("reader").context("no reader")?.password_file = Some(changed.clone());
    served.endpoint.reload(&config)?;
    assert_eq!(refused(served.connect("reader").await).0, "28P01");
    let mut client = served.client("reader");
    client.password("another");
    plain(&client).await?;
    // One that cannot be read changes nothing.
    let missing = EndpointConfig { tls_key: Some("/nowhere".into()), ..config };
    assert!(served.endpoint.reload(&missing).is_err());
    plain(&client).await?;
    assert_eq!(text(&before, "SELECT 1").await?, "1");
    Ok(())
}

#[tokio::test]
async fn a_stop_is_told_and_leaves_nothing() -> Result<()> {
    let served = Served::start().await?;
    let (client, mut connection) = served.client("reader").connect(tokio_postgres::NoTls).await?;
    let socket = served.socket();
    assert!(exists(&socket));
    let told = tokio::spawn(async move { std::future::poll_fn(|context| connection.poll_message(context)).await });
    served.endpoint.stop(DEADLINE).await;
    let told = tokio::time::timeout(DEADLINE, told).await??;
    let error = told.context("closed without a word")?.err().context("no error")?;
    assert_eq!(error.code().map(|code| code.code()), Some("57P01"));
    assert!(!exists(&socket));
    drop(client);
    Ok(())
}

#[tokio::test]
async fn a_key_that_everybody_reads_is_refused() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let served = Served::start().await?;
    let key = served.config.tls_key.clone().context("no key")?;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644))?;
    let config = EndpointConfig { socket_directory: None, ..served.config.clone() };
    let error = pgheal::endpoint::serve(&config, served.engine.clone()).await.err().context("served")?;
    assert!(format!("{error:#}").contains("chmod 600"), "{error:#}");
    Ok(())
}

#[tokio::test]
async fn a_socket_is_taken_over_only_from_the_dead() -> Result<()> {
    let served = Served::start().await?;
    let config = EndpointConfig { listen: None, ..served.config.clone() };
    // What a daemon leaves behind that was killed.
    drop(std::os::unix::net::UnixListener::bind(served.directory.0.join(".s.PGSQL.6433"))?);
    let first = pgheal::endpoint::serve(&config, served.engine.clone()).await?;
    let error = pgheal::endpoint::serve(&config, served.engine.clone()).await.err().context("served twice")?;
    assert!(format!("{error:#}").contains("another process serves it"), "{error:#}");
    first.stop(DEADLINE).await;
    assert!(!exists(&served.directory.0.join(".s.PGSQL.6433")));
    Ok(())
}

#[tokio::test]
async fn status_tells_how_the_daemon_is() -> Result<()> {
    let served = Served::start().await?;
    let url = format!("postgresql://reader@127.0.0.1:{}/pgheal", served.port);
    let run = super::support::pgheal_with(&["status", &url, "--json"], &[("PGPASSWORD", PASSWORD)]).await?;
    run.expect(0);
    let status = run.json()?;
    assert_eq!(status["targets"][0]["state"], "leading");
    assert_eq!(status["indexes"][0]["recall_at_10"], 0.9);
    let run = super::support::pgheal_with(&["status", &url], &[("PGPASSWORD", PASSWORD)]).await?;
    assert!(run.expect(0).stdout.contains("docs_idx"), "{run:?}");
    super::support::pgheal_with(&["status", &url], &[("PGPASSWORD", "wrong")]).await?.expect(2);
    Ok(())
}
