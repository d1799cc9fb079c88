use async_trait::async_trait;

use super::targets_wanted;
use crate::endpoint::context::Context;
use crate::endpoint::functions::{history_columns, history_row};
use crate::endpoint::sql::{Column, Kind, Refused, Row, Table, Value, Wanted, column};

/// Beyond every retention.
const ALL_DAYS: u32 = 36_500;

/// `pgheal.history`: every repair that is remembered, newest first.
pub(super) struct History;

#[async_trait]
impl Table for History {
    fn schema(&self) -> &'static str {
        "pgheal"
    }

    fn name(&self) -> &'static str {
        "history"
    }

    fn columns(&self) -> Vec<Column> {
        let mut columns = vec![column("target", Kind::Text)];
        columns.extend(history_columns());
        columns
    }

    async fn rows(&self, context: &Context, _: Vec<Value>, wanted: &Wanted) -> Result<Vec<Row>, Refused> {
        let targets = targets_wanted(context, wanted);
        let is_only = targets.len() == 1;
        let mut rows = Vec::new();
        for target in targets {
            match context.engine.history(&target, None, ALL_DAYS).await {
                Ok(records) => rows.extend(records.into_iter().map(|record| {
                    let mut row = vec![Value::text(&target)];
                    row.extend(history_row(record));
                    row
                })),
                Err(refusal) if is_only => return Err(refusal.into()),
                // One database that does not answer hides no other's repairs; pgheal.targets says how it is.
                Err(refusal) => tracing::debug!(target, "no history: {refusal}"),
            }
        }
        Ok(rows)
    }
}
