use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::psql::Psql;
use super::{TRANSACTIONS, attended};
use crate::cases::support::{Attended, World};

/// The specification's block, a line each, about a table and its issue.
fn block(table: &str, issue: &str) -> Vec<String> {
    [
        "SELECT ruvector_dag_healing_status();",
        "SELECT ruvector_dag_health_check('$table');",
        "SELECT * FROM ruvector_dag_detected_issues('$table');",
        "SELECT ruvector_dag_repair('$table', '$issue');",
        "SELECT * FROM ruvector_dag_repair_history('$table', 7);",
        "SET ruvector.dag_healing_enabled = true;",
        "SET ruvector.dag_healing_interval_ms = 300000;",
        "SET ruvector.dag_healing_threshold = 0.3;",
    ]
    .map(|line| line.replace("$table", table).replace("$issue", issue))
    .to_vec()
}

/// That the first five answers of the block are what they should be.
fn check_answers(answers: &[String], table: &str, issue: &str) -> Result<()> {
    let json = |place: usize| -> Result<Value> {
        let text = answers.get(place).with_context(|| format!("no answer {place}: {answers:#?}"))?;
        serde_json::from_str(text).with_context(|| format!("no JSON: {text}"))
    };
    assert_eq!(json(0)?["state"], "leading");
    let health = json(1)?;
    assert_eq!(health["indexes"][0]["name"], format!("{table}_idx"), "{health:#}");
    assert!(health["indexes"][0]["recall_at_10"].as_f64().is_some_and(|recall| recall < 0.95), "{health:#}");
    // issue_id, kind, severity, index_name, evidence, explanation, detected_at.
    let found = answers[2].lines().find(|line| line.starts_with(&format!("{issue}|")));
    let columns: Vec<&str> = found.with_context(|| answers[2].clone())?.split('|').collect();
    assert!(issue.starts_with(columns[1]) && columns[3] == format!("public.\"{table}_idx\""), "{columns:?}");
    assert!(["critical", "high", "medium", "low"].contains(&columns[2]), "{columns:?}");
    assert!(columns[4].starts_with("[{") && columns[6].ends_with("+00"), "{columns:?}");
    let ticket = json(3)?;
    assert!(ticket["ticket"].is_i64(), "{ticket:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psql_line_by_line_and_inside_transactions() -> Result<()> {
    let programs = Psql::all().await?;
    // An encoding that is not the daemon's, and names that are written differently in it.
    let world = World::in_encoding("clients_psql", "LATIN1").await?;
    let (mut attended, tables) = attended(world, "nötes", 2 * programs.len() + TRANSACTIONS.len()).await?;
    let functions = attended.world.url_as("clients_psql_app");
    let endpoint = attended.endpoint_url("dba");
    let (of_block, of_transactions) = tables.split_at(2 * programs.len());

    let mut asked = Vec::new();
    for (number, table) in of_block.iter().enumerate() {
        let psql = &programs[number / 2];
        let is_endpoint = number % 2 == 1;
        let issue = attended.issue(table).await?;
        line_by_line(psql, if is_endpoint { &endpoint } else { &functions }, table, &issue, is_endpoint).await?;
        asked.push((table, issue));
    }
    for (number, (table, transaction)) in of_transactions.iter().zip(TRANSACTIONS).enumerate() {
        let issue = attended.issue(table).await?;
        inside(&programs[number % programs.len()], &functions, transaction, table, &issue).await?;
        asked.push((table, issue));
    }
    for (table, issue) in &asked {
        attended.healed(table, issue).await.with_context(|| table.to_string())?;
    }
    for psql in &programs {
        what_backslash_commands_say(psql, &attended).await.with_context(|| format!("{psql:?}"))?;
    }
    attended.is_running()
}

async fn line_by_line(psql: &Psql, url: &str, table: &str, issue: &str, is_endpoint: bool) -> Result<()> {
    let mut lines = block(table, issue);
    // What holds now, by the same connection.
    lines.push("SHOW ruvector.dag_healing_interval_ms;".to_owned());
    lines.push("SELECT ruvector_dag_healing_status()->'settings';".to_owned());
    let resets = ["enabled", "interval_ms", "threshold"].map(|name| format!("RESET ruvector.dag_healing_{name};"));
    lines.extend(resets);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let answers = psql.run(url, &lines).await?.well()?;
    ensure!(answers.len() == lines.len(), "{answers:#?}");
    check_answers(&answers, table, issue)?;
    assert_eq!(answers[8], "300000");
    let source = if is_endpoint { "endpoint" } else { "session" };
    let settings: Value = serde_json::from_str(&answers[9])?;
    for (name, value) in [("enabled", "on"), ("interval_ms", "300000"), ("threshold", "0.3")] {
        let name = format!("ruvector.dag_healing_{name}");
        let found = settings.as_array().and_then(|all| all.iter().find(|setting| setting["name"] == name.as_str()));
        let found = found.with_context(|| format!("no {name}: {settings:#}"))?;
        assert_eq!((&found["value"], &found["source"]), (&value.into(), &source.into()), "{name} by {psql:?}");
    }
    Ok(())
}

/// All five calls inside a transaction. The server itself ends what takes longer than the functions' time limit.
async fn inside(psql: &Psql, url: &str, (begin, lock): (&str, &str), table: &str, issue: &str) -> Result<()> {
    let lock = lock.replace("$table", table);
    let calls = block(table, issue);
    let (begin, lock) = (format!("{begin};"), format!("{lock};"));
    let mut lines = vec!["SET statement_timeout = '10s';", &begin, &lock];
    lines.extend(calls[..5].iter().map(String::as_str));
    lines.push("COMMIT;");
    let answers = psql.run(url, &lines).await?.well().with_context(|| lock.clone())?;
    check_answers(&answers[3..], table, issue).with_context(|| lock.clone())
}

/// Each gets an answer, or is told where it is; the connection stays.
async fn what_backslash_commands_say(psql: &Psql, attended: &Attended) -> Result<()> {
    let commands = [
        "\\d",
        "\\dt",
        "\\dv",
        "\\df",
        "\\dn",
        "\\du",
        "\\dx",
        "\\l",
        "\\d pgheal.issues",
        "\\df ruvector*",
        "\\dconfig",
        "\\dp",
        "\\sf ruvector_dag_repair",
        "\\encoding",
        "\\x off",
    ];
    for command in commands {
        // `\dconfig` came with version 15.
        if command == "\\dconfig" && psql.version < 15 {
            continue;
        }
        let lines = ["SELECT pg_backend_pid();", command, "SELECT pg_backend_pid();"];
        let said = psql.try_all(&attended.endpoint_url("watcher"), &lines).await?;
        ensure!(said.code == Some(0), "{command}: {said:#?}");
        ensure!(said.answers.len() == 3 && said.answers[0] == said.answers[2], "{command}: {said:#?}");
        // `\sf` leaves the hint out.
        let hints = said.errors.contains("pgheal.issues") || command.starts_with("\\sf");
        let is_told = said.errors.contains("this is pgheal") && hints;
        let is_answered = said.errors.is_empty();
        ensure!(is_told || is_answered, "{command}: {said:#?}");
        ensure!(is_answered || !["\\encoding", "\\x off"].contains(&command), "{command}: {said:#?}");
    }
    let lines = [
        "\\conninfo",
        "SELECT issue_id, severity FROM pgheal.issues WHERE index_name = 'nothing' \\gdesc",
        "SELECT current_user AS who \\gset",
        "\\echo :who",
        "SELECT target, state FROM pgheal.targets \\gx",
        "\\set AUTOCOMMIT off",
        "SELECT 1;",
        "COMMIT;",
        "\\set ON_ERROR_ROLLBACK on",
        "SELECT nothing;",
        "SELECT 2;",
        "COMMIT;",
        "\\timing on",
    ];
    let said = psql.try_all(&attended.endpoint_url("watcher"), &lines).await?;
    ensure!(said.code == Some(0) && said.answers.len() == lines.len(), "{said:#?}");
    let answers = &said.answers;
    ensure!(answers[0].contains("watcher") && answers[0].contains(&attended.port.to_string()), "{said:#?}");
    assert_eq!(answers[3], "watcher");
    ensure!(answers[4].contains("state|leading"), "{said:#?}");
    assert_eq!([&answers[6], &answers[9], &answers[10]], ["1", "", "2"]);
    ensure!(said.errors.contains("\"nothing\" does not exist"), "{said:#?}");
    Ok(())
}
