use async_trait::async_trait;
use serde_json::json;

use super::arguments::Arguments;
use crate::daemon::api::Role;
use crate::endpoint::context::Context;
use crate::endpoint::sql::{Argument, Function, Kind, Refused, Value};

/// `ruvector_dag_repair(table_name, issue_id)`: asks for a repair and answers at once; how it goes is in the status.
pub(super) struct Repair;

#[async_trait]
impl Function for Repair {
    fn schema(&self) -> &'static str {
        "pgheal"
    }

    fn name(&self) -> &'static str {
        "ruvector_dag_repair"
    }

    fn arguments(&self) -> Vec<Argument> {
        vec![Argument::new("table_name", Kind::Text), Argument::new("issue_id", Kind::Text)]
    }

    fn result(&self) -> Kind {
        Kind::Jsonb
    }

    async fn call(&self, context: &Context, arguments: Vec<Value>) -> Result<Value, Refused> {
        context.require(Role::Operator, "ask for repairs")?;
        let mut arguments = Arguments::new(arguments);
        let (table, issue) = (arguments.text("table_name")?, arguments.text("issue_id")?);
        let target = context.target()?;
        let ticket = context.engine.repair(&target, &table, &issue, &context.caller).await?;
        tracing::info!(target, table, issue, caller = context.caller.name, ticket = ticket.id, "repair asked for");
        Ok(Value::Json(json!({"ticket": ticket.id, "message": ticket.message})))
    }
}
