use async_trait::async_trait;

use crate::daemon::api::{TargetState, TargetView};
use crate::endpoint::context::Context;
use crate::endpoint::sql::{Column, Kind, Refused, Row, Table, Value, Wanted, column, micros_of};

/// `pgheal.targets`: the databases under care, and how it goes there.
pub(super) struct Targets;

#[async_trait]
impl Table for Targets {
    fn schema(&self) -> &'static str {
        "pgheal"
    }

    fn name(&self) -> &'static str {
        "targets"
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            column("target", Kind::Text),
            column("database", Kind::Text),
            column("server", Kind::Text),
            column("state", Kind::Text),
            column("state_since", Kind::Time),
            column("reason", Kind::Text),
            column("auto_heal_enabled", Kind::Bool),
            column("last_cycle_at", Kind::Time),
            column("last_cycle_ms", Kind::Int8),
            column("failed_checks", Kind::Int8),
            column("indexes", Kind::Int8),
            column("issues", Kind::Int8),
            column("active_repairs", Kind::Int8),
        ]
    }

    async fn rows(&self, context: &Context, _: Vec<Value>, _: &Wanted) -> Result<Vec<Row>, Refused> {
        Ok(context.targets().iter().map(|target| row(target)).collect())
    }
}

fn row(target: &TargetView) -> Row {
    let count = |number: usize| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let reason = match &target.state {
        TargetState::Failed { reason } => Value::text(reason),
        _ => Value::Null,
    };
    let cycle = target.last_cycle.as_ref();
    vec![
        Value::text(&target.name),
        Value::text(&target.database),
        Value::text(&target.server),
        Value::text(target.state.name()),
        Value::Time(micros_of(target.state_since)),
        reason,
        Value::Bool(target.auto_heal_enabled),
        Value::of(cycle, |cycle| Value::Time(micros_of(cycle.ended_at))),
        Value::of(cycle, |cycle| Value::Int(cycle.duration.as_millis() as i64)),
        Value::of(cycle, |cycle| count(cycle.failed_checks.len())),
        count(target.indexes.len()),
        count(target.indexes.iter().map(|index| index.issues.len()).sum()),
        count(target.active_repairs.len()),
    ]
}
