use async_trait::async_trait;
use serde_json::json;

use super::arguments::Arguments;
use crate::endpoint::context::Context;
use crate::endpoint::sql::{Argument, Column, Kind, Refused, Row, Table, Value, Wanted, code, column, parse_time};
use crate::model::RepairRecord;

const DEFAULT_DAYS: i64 = 7;
/// A hundred years.
const MOST_DAYS: i64 = 36_500;

/// `ruvector_dag_repair_history(table_name, days)`: the repairs of a table's indexes, newest first.
pub(super) struct RepairHistory;

#[async_trait]
impl Table for RepairHistory {
    fn schema(&self) -> &'static str {
        "pgheal"
    }

    fn name(&self) -> &'static str {
        "ruvector_dag_repair_history"
    }

    fn arguments(&self) -> Option<Vec<Argument>> {
        Some(vec![
            Argument::new("table_name", Kind::Text),
            Argument::new("days", Kind::Int4).with_default(Value::Int(DEFAULT_DAYS)),
        ])
    }

    fn columns(&self) -> Vec<Column> {
        columns()
    }

    async fn rows(&self, context: &Context, arguments: Vec<Value>, _: &Wanted) -> Result<Vec<Row>, Refused> {
        let mut arguments = Arguments::new(arguments);
        let (table, days) = (arguments.text("table_name")?, arguments.int("days")?);
        let days = u32::try_from(days).ok().filter(|days| (1..=MOST_DAYS).contains(&i64::from(*days)));
        let days = days.ok_or_else(|| Refused::new(code::INVALID_VALUE, format!("days must lie in 1..{MOST_DAYS}")))?;
        let records = context.engine.history(&context.target()?, Some(&table), days).await?;
        Ok(records.into_iter().map(row).collect())
    }
}

pub(in crate::endpoint) fn columns() -> Vec<Column> {
    vec![
        column("id", Kind::Int8),
        column("issue_id", Kind::Text),
        column("issue_kind", Kind::Text),
        column("index_name", Kind::Text),
        column("strategy", Kind::Text),
        column("digest", Kind::Text),
        column("outcome", Kind::Text),
        column("reason", Kind::Text),
        column("started_at", Kind::Time),
        column("finished_at", Kind::Time),
        column("duration_ms", Kind::Int8),
        column("result", Kind::Jsonb),
        column("before", Kind::Jsonb),
        column("after", Kind::Jsonb),
    ]
}

/// A repair as a row of those columns; what has no end yet has no outcome and no duration.
pub(in crate::endpoint) fn row(record: RepairRecord) -> Row {
    let started = parse_time(&record.started_at);
    let finished = record.finished_at.as_deref().and_then(parse_time);
    let duration_ms = started.zip(finished).map(|(started, finished)| (finished - started) / 1_000);
    vec![
        Value::Int(record.id),
        Value::Text(record.issue_id),
        Value::Text(record.issue_kind),
        Value::of(record.index, Value::Text),
        Value::Text(record.strategy),
        Value::Text(record.digest),
        Value::of(record.outcome, |outcome| Value::text(outcome.name())),
        Value::Text(record.reason),
        Value::of(started, Value::Time),
        Value::of(finished, Value::Time),
        Value::of(duration_ms, Value::Int),
        Value::of(record.result, |result| Value::Json(json!(result))),
        Value::Json(record.before),
        Value::Json(record.after),
    ]
}
