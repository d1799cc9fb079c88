use async_trait::async_trait;

use crate::daemon::api::IndexView;
use crate::endpoint::context::Context;
use crate::endpoint::sql::{Column, Kind, Refused, Row, Table, Value, Wanted, column, micros_of};

/// `pgheal.indexes`: every vector index, as it was measured last.
pub(super) struct Indexes;

#[async_trait]
impl Table for Indexes {
    fn schema(&self) -> &'static str {
        "pgheal"
    }

    fn name(&self) -> &'static str {
        "indexes"
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            column("target", Kind::Text),
            column("schema_name", Kind::Text),
            column("index_name", Kind::Text),
            column("table_schema", Kind::Text),
            column("table_name", Kind::Text),
            column("method", Kind::Text),
            column("verdict", Kind::Text),
            column("measured_at", Kind::Time),
            column("size_bytes", Kind::Int8),
            column("recall_at_10", Kind::Float8),
            column("recall_p5", Kind::Float8),
            column("blind_share", Kind::Float8),
            column("recall_target", Kind::Float8),
            column("issues", Kind::Int8),
            column("document", Kind::Jsonb),
        ]
    }

    async fn rows(&self, context: &Context, _: Vec<Value>, _: &Wanted) -> Result<Vec<Row>, Refused> {
        let targets = context.targets();
        let rows = targets.iter().flat_map(|target| target.indexes.iter().map(|index| row(&target.name, index)));
        Ok(rows.collect())
    }
}

fn row(target: &str, index: &IndexView) -> Row {
    vec![
        Value::text(target),
        Value::text(&index.schema),
        Value::text(&index.name),
        Value::text(&index.table_schema),
        Value::text(&index.table),
        Value::text(index.method),
        Value::text(index.verdict),
        Value::Time(micros_of(index.measured_at)),
        Value::Int(i64::try_from(index.size_bytes).unwrap_or(i64::MAX)),
        Value::of(index.recall_at_10, Value::Float),
        Value::of(index.recall_p5, Value::Float),
        Value::of(index.blind_share, Value::Float),
        Value::Float(index.recall_target),
        Value::Int(index.issues.len() as i64),
        Value::Json(index.document.clone()),
    ]
}
