use async_trait::async_trait;

use super::targets_wanted;
use crate::endpoint::context::Context;
use crate::endpoint::functions::{issue_columns, issue_row};
use crate::endpoint::sql::{Column, Kind, Refused, Row, Table, Value, Wanted, column};

/// `pgheal.issues`: what the last cycles found.
pub(super) struct Issues;

#[async_trait]
impl Table for Issues {
    fn schema(&self) -> &'static str {
        "pgheal"
    }

    fn name(&self) -> &'static str {
        "issues"
    }

    fn columns(&self) -> Vec<Column> {
        let mut columns = vec![column("target", Kind::Text)];
        columns.extend(issue_columns());
        columns
    }

    async fn rows(&self, context: &Context, _: Vec<Value>, wanted: &Wanted) -> Result<Vec<Row>, Refused> {
        let mut rows = Vec::new();
        for target in targets_wanted(context, wanted) {
            for issue in context.engine.detected_issues(&target, None).await? {
                let mut row = vec![Value::text(&target)];
                row.extend(issue_row(issue));
                rows.push(row);
            }
        }
        Ok(rows)
    }
}
