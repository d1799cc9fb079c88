use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use super::arguments::Arguments;
use crate::daemon::api::IndexView;
use crate::endpoint::context::Context;
use crate::endpoint::sql::{Argument, Function, Kind, Refused, Value, iso_text, micros_of};

/// How long a new measurement may take before the last one is answered. Well below the time limit of the functions in
/// the database.
const WAIT: Duration = Duration::from_secs(2);

/// `ruvector_dag_health_check(table_name)`: every vector index of a table.
pub(super) struct HealthCheck;

#[async_trait]
impl Function for HealthCheck {
    fn schema(&self) -> &'static str {
        "pgheal"
    }

    fn name(&self) -> &'static str {
        "ruvector_dag_health_check"
    }

    fn arguments(&self) -> Vec<Argument> {
        vec![Argument::new("table_name", Kind::Text)]
    }

    fn result(&self) -> Kind {
        Kind::Jsonb
    }

    async fn call(&self, context: &Context, arguments: Vec<Value>) -> Result<Value, Refused> {
        let table = Arguments::new(arguments).text("table_name")?;
        let indexes = context.engine.health_check(&context.target()?, &table, WAIT).await?;
        let indexes: Vec<Json> = indexes.into_iter().map(document).collect();
        Ok(Value::Json(json!({"table": table, "indexes": indexes})))
    }
}

fn document(index: IndexView) -> Json {
    let mut document = index.document;
    if let Json::Object(members) = &mut document {
        members.insert("measured_at".to_owned(), iso_text(micros_of(index.measured_at)).into());
    }
    document
}
