use std::time::Duration;

use anyhow::{Context, bail};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Map, Value, json};
use tokio_postgres::SimpleQueryMessage;

use super::ExitStatus;
use super::arguments::StatusCommand;
use crate::cli::output::say;
use crate::postgres::{Connector, Session};

/// A daemon answers this from its memory; one that does not is stuck.
const DEADLINE: Duration = Duration::from_secs(15);

const TARGETS: &str = "SELECT target, state, state_since, reason, auto_heal_enabled, last_cycle_at, last_cycle_ms, \
                       failed_checks, indexes, issues, active_repairs FROM pgheal.targets ORDER BY target";
const INDEXES: &str = "SELECT target, schema_name, index_name, verdict, recall_at_10, recall_target, issues, \
                       measured_at FROM pgheal.indexes ORDER BY target, schema_name, index_name";
const REPAIRS: &str = "SELECT target, ticket, issue_id, index_name, started_at, progress FROM pgheal.active_repairs \
                       ORDER BY target, started_at";

/// Healthy only where every target leads or stands by, and no index has an issue.
pub(super) async fn status(command: StatusCommand) -> anyhow::Result<ExitStatus> {
    let connector = Connector::parse(&command.url)?;
    let asked = tokio::time::timeout(DEADLINE, ask(&connector)).await;
    let status = asked.with_context(|| format!("{} does not answer", connector.server()))??;
    if command.json {
        let [targets, indexes, repairs] = [&status.targets, &status.indexes, &status.repairs].map(Answer::json);
        let document = json!({"targets": targets, "indexes": indexes, "active_repairs": repairs});
        say!("{document:#}");
    } else {
        say!("{}", status.targets.table());
        for (title, answer) in [("Indexes", &status.indexes), ("Repairs that run", &status.repairs)] {
            if !answer.rows.is_empty() {
                say!("\n{title}\n{}", answer.table());
            }
        }
    }
    Ok(status.verdict())
}

struct Status {
    targets: Answer,
    indexes: Answer,
    repairs: Answer,
}

/// An answer in text; None is NULL.
struct Answer {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

async fn ask(connector: &Connector) -> anyhow::Result<Status> {
    let session = connector.connect("status").await?;
    Ok(Status {
        targets: select(&session, TARGETS).await?,
        indexes: select(&session, INDEXES).await?,
        repairs: select(&session, REPAIRS).await?,
    })
}

async fn select(session: &Session, sql: &str) -> anyhow::Result<Answer> {
    let messages = session.simple_query(sql).await.context("this is no endpoint of pgheal; is it a database?")?;
    let mut answer = None;
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                let columns = columns.iter().map(|column| column.name().to_owned()).collect();
                answer = Some(Answer { columns, rows: Vec::new() });
            }
            SimpleQueryMessage::Row(row) => {
                let values = (0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect();
                if let Some(answer) = &mut answer {
                    answer.rows.push(values);
                }
            }
            _ => {}
        }
    }
    match answer {
        Some(answer) => Ok(answer),
        None => bail!("no answer to {sql}"),
    }
}

impl Status {
    fn verdict(&self) -> ExitStatus {
        let is_well = |state: &Option<String>| matches!(state.as_deref(), Some("leading" | "standby"));
        let has_issue = |issues: &Option<String>| issues.as_deref() != Some("0");
        let sick =
            self.targets.column("state").any(|state| !is_well(state)) || self.targets.column("issues").any(has_issue);
        if sick { ExitStatus::Issues } else { ExitStatus::Healthy }
    }
}

impl Answer {
    fn column(&self, name: &str) -> impl Iterator<Item = &Option<String>> {
        let place = self.columns.iter().position(|column| column == name);
        self.rows.iter().filter_map(move |row| row.get(place?))
    }

    fn json(&self) -> Vec<Value> {
        let object = |row: &Vec<Option<String>>| {
            let members: Map<String, Value> = self
                .columns
                .iter()
                .zip(row)
                .map(|(name, value)| (name.clone(), typed(name, value.as_deref())))
                .collect();
            Value::Object(members)
        };
        self.rows.iter().map(object).collect()
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(self.columns.iter().map(|name| name.replace('_', " ")));
        for row in &self.rows {
            table.add_row(row.iter().map(|value| value.as_deref().unwrap_or("")));
        }
        table
    }
}

/// Numbers and truth values as such; names and times stay text, whatever they look like.
fn typed(column: &str, value: Option<&str>) -> Value {
    let Some(text) = value else { return Value::Null };
    match column {
        "auto_heal_enabled" => json!(text == "t"),
        "last_cycle_ms" | "failed_checks" | "indexes" | "issues" | "active_repairs" | "ticket" | "recall_at_10"
        | "recall_target" => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        _ => json!(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(columns: &[&str], rows: &[&[&str]]) -> Answer {
        Answer {
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
            rows: rows.iter().map(|row| row.iter().map(|value| Some((*value).to_owned())).collect()).collect(),
        }
    }

    #[test]
    fn the_exit_status_tells_whether_all_is_well() {
        let check = |targets: &[&[&str]], expected: ExitStatus| {
            let empty = || answer(&[], &[]);
            let status = Status { targets: answer(&["state", "issues"], targets), indexes: empty(), repairs: empty() };
            assert_eq!(status.verdict(), expected);
        };
        check(&[&["leading", "0"], &["standby", "0"]], ExitStatus::Healthy);
        check(&[&["leading", "2"]], ExitStatus::Issues);
        check(&[&["failed", "0"]], ExitStatus::Issues);
    }

    #[test]
    fn json_has_the_types_of_the_views() {
        let found = answer(&["target", "issues", "auto_heal_enabled"], &[&["7", "7", "t"]]).json();
        assert_eq!(found, [json!({"target": "7", "issues": 7, "auto_heal_enabled": true})]);
    }
}
