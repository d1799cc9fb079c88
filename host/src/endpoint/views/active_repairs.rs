use async_trait::async_trait;

use crate::daemon::api::ActiveRepair;
use crate::endpoint::context::Context;
use crate::endpoint::sql::{Column, Kind, Refused, Row, Table, Value, Wanted, column, micros_of};

/// `pgheal.active_repairs`: what is being repaired now.
pub(super) struct ActiveRepairs;

#[async_trait]
impl Table for ActiveRepairs {
    fn schema(&self) -> &'static str {
        "pgheal"
    }

    fn name(&self) -> &'static str {
        "active_repairs"
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            column("target", Kind::Text),
            column("ticket", Kind::Int8),
            column("issue_id", Kind::Text),
            column("index_name", Kind::Text),
            column("started_at", Kind::Time),
            column("progress", Kind::Text),
        ]
    }

    async fn rows(&self, context: &Context, _: Vec<Value>, _: &Wanted) -> Result<Vec<Row>, Refused> {
        let targets = context.targets();
        Ok(targets
            .iter()
            .flat_map(|target| target.active_repairs.iter().map(|repair| row(&target.name, repair)))
            .collect())
    }
}

fn row(target: &str, repair: &ActiveRepair) -> Row {
    vec![
        Value::text(target),
        Value::of(repair.ticket, Value::Int),
        Value::text(&repair.issue_id),
        Value::text(&repair.index),
        Value::Time(micros_of(repair.started_at)),
        Value::text(&repair.progress),
    ]
}
