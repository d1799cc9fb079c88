use async_trait::async_trait;

use crate::components::PolicyStatus;
use crate::endpoint::context::Context;
use crate::endpoint::sql::{Column, Kind, Refused, Row, Table, Value, Wanted, column};

/// `pgheal.policies`: the components that prioritize and repair.
pub(super) struct Policies;

#[async_trait]
impl Table for Policies {
    fn schema(&self) -> &'static str {
        "pgheal"
    }

    fn name(&self) -> &'static str {
        "policies"
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            column("name", Kind::Text),
            column("kind", Kind::Text),
            column("file", Kind::Text),
            column("digest", Kind::Text),
            column("state", Kind::Text),
            column("since", Kind::Time),
            column("strikes", Kind::Int8),
            column("calls", Kind::Int8),
            column("failed_calls", Kind::Jsonb),
            column("failure", Kind::Text),
        ]
    }

    async fn rows(&self, context: &Context, _: Vec<Value>, _: &Wanted) -> Result<Vec<Row>, Refused> {
        Ok(context.engine.policies().policies.into_iter().map(row).collect())
    }
}

fn row(policy: PolicyStatus) -> Row {
    let int = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    vec![
        Value::Text(policy.name),
        Value::text(policy.kind.to_string()),
        Value::Text(policy.file),
        Value::of(policy.digest, Value::Text),
        Value::text(policy.state.to_string()),
        Value::Time(int(policy.since_ms).saturating_mul(1_000)),
        Value::Int(policy.strikes.into()),
        Value::Int(int(policy.calls)),
        Value::Json(serde_json::json!(policy.failed_calls)),
        Value::of(policy.failure, |failure| Value::Text(failure.reason)),
    ]
}
