use async_trait::async_trait;
use serde_json::json;

use super::arguments::Arguments;
use crate::daemon::api::IssueView;
use crate::endpoint::context::Context;
use crate::endpoint::sql::{Argument, Column, Kind, Refused, Row, Table, Value, Wanted, column, micros_of};
use crate::model::Severity;

/// `ruvector_dag_detected_issues(table_name)`: what the last cycle found in the indexes of a table.
pub(super) struct DetectedIssues;

#[async_trait]
impl Table for DetectedIssues {
    fn schema(&self) -> &'static str {
        "pgheal"
    }

    fn name(&self) -> &'static str {
        "ruvector_dag_detected_issues"
    }

    fn arguments(&self) -> Option<Vec<Argument>> {
        Some(vec![Argument::new("table_name", Kind::Text)])
    }

    fn columns(&self) -> Vec<Column> {
        columns()
    }

    async fn rows(&self, context: &Context, arguments: Vec<Value>, _: &Wanted) -> Result<Vec<Row>, Refused> {
        let table = Arguments::new(arguments).text("table_name")?;
        let issues = context.engine.detected_issues(&context.target()?, Some(&table)).await?;
        Ok(issues.into_iter().map(row).collect())
    }
}

pub(in crate::endpoint) fn columns() -> Vec<Column> {
    vec![
        column("issue_id", Kind::Text),
        column("kind", Kind::Text),
        column("severity", Kind::Text),
        column("index_name", Kind::Text),
        column("evidence", Kind::Jsonb),
        column("explanation", Kind::Text),
        column("detected_at", Kind::Time),
    ]
}

/// An issue as a row of those columns.
pub(in crate::endpoint) fn row(found: IssueView) -> Row {
    let severity = match found.issue.severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    };
    vec![
        Value::Text(found.issue.id),
        Value::text(found.issue.kind.name()),
        Value::text(severity),
        Value::of(found.issue.index, |index| Value::Text(index.to_string())),
        Value::Json(json!(found.issue.evidence)),
        Value::Text(found.explanation),
        Value::Time(micros_of(found.detected_at)),
    ]
}
