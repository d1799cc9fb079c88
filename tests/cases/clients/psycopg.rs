use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{TRANSACTIONS, attended};
use crate::cases::support::{World, workspace};

/// A script that takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(120);

/// What tools ask that connect to a PostgreSQL: pgAdmin, DBeaver and other users of JDBC, SQLAlchemy, Grafana.
const PROBES: &[&str] = &[
    "SET DateStyle=ISO; SET client_min_messages=notice; SELECT set_config('bytea_output','hex',false) FROM \
     pg_show_all_settings() WHERE name = 'bytea_output'; SET client_encoding='utf-8';",
    "SELECT version()",
    "SELECT db.oid as did, db.datname, db.datallowconn, pg_encoding_to_char(db.encoding) AS serverencoding, \
     has_database_privilege(db.oid, 'CREATE') as cancreate, datistemplate FROM pg_catalog.pg_database db \
     WHERE db.datname = current_database()",
    "SELECT roles.oid as id, roles.rolname as name, roles.rolsuper as is_superuser, CASE WHEN roles.rolsuper THEN true \
     ELSE roles.rolcreaterole END as can_create_role FROM pg_catalog.pg_roles as roles WHERE rolname = current_user",
    "SELECT gss_authenticated, encrypted FROM pg_catalog.pg_stat_gssapi WHERE pid = pg_backend_pid()",
    "SELECT rolname FROM pg_roles WHERE oid = 16384",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "SELECT current_schema(), session_user",
    "SELECT n.oid, n.*, d.description FROM pg_catalog.pg_namespace n LEFT OUTER JOIN pg_catalog.pg_description d ON \
     d.objoid=n.oid ORDER BY nspname",
    "SELECT t.oid, t.*, c.relkind FROM pg_catalog.pg_type t LEFT OUTER JOIN pg_class c ON c.oid=t.typrelid WHERE \
     typname IS NOT NULL",
    "select * from pg_catalog.pg_settings where name='standard_conforming_strings'",
    "select string_agg(word, ',') from pg_catalog.pg_get_keywords()",
    "select pg_catalog.version()",
    "show standard_conforming_strings",
    "SHOW TRANSACTION ISOLATION LEVEL",
    "SELECT pg_catalog.pg_class.relname FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON \
     pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace WHERE pg_catalog.pg_class.relkind = ANY (ARRAY['r'])",
    "SELECT current_setting('server_version_num')::int/100 as version",
    "SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'",
    "SELECT table_name FROM information_schema.tables WHERE table_schema NOT IN ('information_schema')",
    "SELECT pid, state FROM pg_stat_activity WHERE datname = current_database()",
    "LISTEN changes",
    "EXPLAIN SELECT 1",
    "COPY (SELECT 1) TO STDOUT",
    "SELECT severity FROM pgheal.issues WHERE severity = ANY('{high}')",
    "DECLARE c CURSOR FOR SELECT 1",
];

/// Where `cargo xtask setup` puts psycopg. None, after a line about it, where it could not be fetched.
fn packages(case: &str) -> Result<Option<PathBuf>> {
    let directory = workspace().join("target/tools/psycopg");
    if directory.join("installed").exists() {
        return Ok(Some(directory.join("packages")));
    }
    let required = std::env::var("PGHEAL_REQUIRE_LANGUAGES").is_ok_and(|value| value == "1");
    ensure!(!required, "psycopg is not in {}: cargo xtask setup", directory.display());
    eprintln!("{case} is left out: psycopg could not be fetched");
    Ok(None)
}

/// Runs a script of tests/clients; the lines that it printed.
async fn run(packages: &Path, script: &str, given: &Value) -> Result<Vec<String>> {
    let mut child = Command::new("python3")
        .arg(workspace().join("tests/clients").join(script))
        .env("PYTHONPATH", packages)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("python3 cannot be run")?;
    let mut input = child.stdin.take().context("no standard input")?;
    input.write_all(given.to_string().as_bytes()).await?;
    drop(input);
    let ended = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
    let output = ended.with_context(|| format!("{script} hangs"))??;
    let said = String::from_utf8(output.stdout)?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{script} failed after\n{said}{errors}");
    Ok(said.lines().map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psycopg_in_text_and_binary() -> Result<()> {
    let Some(packages) = packages("psycopg in text and binary")? else { return Ok(()) };
    let (mut attended, tables) = attended(World::new("clients_speaking").await?, "papers", 8).await?;
    let (of_functions, of_endpoint) = tables.split_at(4);
    let given = json!({
        "functions": {
            "url": attended.world.url_as("clients_speaking_app"),
            "limited_url": attended.world.url_as("clients_speaking_guest"),
            "tables": of_functions,
        },
        "endpoint": {
            "url": attended.endpoint_url("dba"),
            "limited_url": attended.endpoint_url("watcher"),
            "tables": of_endpoint,
        },
        "superuser_url": attended.world.url(),
        "probes": PROBES,
    });
    let lines = run(&packages, "speaking.py", &given).await?;
    let mut expected = Vec::new();
    for side in ["functions", "endpoint"] {
        let parts = "settings transactions refusals pipelines cancelling other_cursors connections probes";
        expected.extend(parts.split(' ').map(|part| format!("{side}: {part}")));
    }
    for side in ["functions", "endpoint"] {
        for format in ["False, prepared=False", "False, prepared=True", "True, prepared=False", "True, prepared=True"] {
            expected.push(format!("{side}: five functions, binary={format}"));
        }
    }
    expected.push("both: 8 descriptions".to_owned());
    assert_eq!(lines, expected);
    attended.is_running()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psycopg_inside_transactions() -> Result<()> {
    let Some(packages) = packages("psycopg inside transactions")? else { return Ok(()) };
    let (mut attended, tables) =
        attended(World::new("clients_locking").await?, "letters", TRANSACTIONS.len() + 1).await?;
    // The last asks for the repair from outside of the transaction that holds the lock.
    let transactions = TRANSACTIONS.iter().zip(&tables).map(|(transaction, table)| (transaction, table, false));
    let outside = (&TRANSACTIONS[0], &tables[TRANSACTIONS.len()], true);
    let mut asked = Vec::new();
    let mut given = Vec::new();
    for ((begin, lock), table, asks_at_endpoint) in transactions.chain([outside]) {
        let issue = attended.issue(table).await?;
        let lock = lock.replace("$table", table);
        given.push(json!({
            "begin": begin, "lock": lock, "table": table, "issue": issue, "asks_at_endpoint": asks_at_endpoint,
        }));
        asked.push((table, issue));
    }
    let given = json!({
        "functions_url": attended.world.url_as("clients_locking_app"),
        "endpoint_url": attended.endpoint_url("dba"),
        "transactions": given,
    });
    let lines = run(&packages, "locking.py", &given).await?;
    assert_eq!(lines.len(), asked.len(), "{lines:#?}");
    // What was asked for is done when the transaction, and with it the lock, is gone.
    for (table, issue) in asked {
        attended.healed(table, &issue).await.with_context(|| table.clone())?;
    }
    attended.is_running()
}
