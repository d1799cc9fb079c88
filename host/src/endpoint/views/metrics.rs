use async_trait::async_trait;

use crate::endpoint::context::Context;
use crate::endpoint::sql::{Column, Kind, Refused, Row, Table, Value, Wanted, column};
use crate::model::HealingMetrics;

/// `pgheal.metrics`: the counters of the healing loop.
pub(super) struct Metrics;

#[async_trait]
impl Table for Metrics {
    fn schema(&self) -> &'static str {
        "pgheal"
    }

    fn name(&self) -> &'static str {
        "metrics"
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            column("target", Kind::Text),
            column("checks_performed", Kind::Int8),
            column("issues_detected", Kind::Int8),
            column("repairs_initiated", Kind::Int8),
            column("repairs_successful", Kind::Int8),
            column("repairs_failed", Kind::Int8),
            column("repairs_rolled_back", Kind::Int8),
            column("success_rate", Kind::Float8),
            column("avg_repair_time_ms", Kind::Float8),
            column("total_repair_time_ms", Kind::Int8),
            column("last_check_time", Kind::Time),
        ]
    }

    async fn rows(&self, context: &Context, _: Vec<Value>, _: &Wanted) -> Result<Vec<Row>, Refused> {
        Ok(context.targets().iter().map(|target| row(&target.name, &target.metrics)).collect())
    }
}

fn row(target: &str, metrics: &HealingMetrics) -> Row {
    let int = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let last_check = Some(metrics.last_check_time).filter(|ms| *ms != 0);
    vec![
        Value::text(target),
        Value::Int(int(metrics.checks_performed)),
        Value::Int(int(metrics.issues_detected)),
        Value::Int(int(metrics.repairs_initiated)),
        Value::Int(int(metrics.repairs_successful)),
        Value::Int(int(metrics.repairs_failed)),
        Value::Int(int(metrics.repairs_rolled_back)),
        Value::Float(metrics.success_rate()),
        Value::Float(metrics.avg_repair_time_ms()),
        Value::Int(int(metrics.total_repair_time_ms)),
        Value::of(last_check, |ms| Value::Time(int(ms).saturating_mul(1_000))),
    ]
}
