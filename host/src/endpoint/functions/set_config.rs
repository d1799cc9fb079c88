use async_trait::async_trait;

use super::arguments::Arguments;
use crate::endpoint::context::Context;
use crate::endpoint::settings;
use crate::endpoint::sql::{Argument, Function, Kind, Refused, Value};

/// `set_config(name, value, is_local)`: SET as a function; pgAdmin and others use it.
pub(super) struct SetConfig;

#[async_trait]
impl Function for SetConfig {
    fn schema(&self) -> &'static str {
        "pg_catalog"
    }

    fn name(&self) -> &'static str {
        "set_config"
    }

    fn arguments(&self) -> Vec<Argument> {
        vec![
            Argument::new("setting_name", Kind::Text),
            Argument::new("new_value", Kind::Text),
            Argument::new("is_local", Kind::Bool),
        ]
    }

    fn result(&self) -> Kind {
        Kind::Text
    }

    async fn call(&self, context: &Context, arguments: Vec<Value>) -> Result<Value, Refused> {
        let mut arguments = Arguments::new(arguments);
        let (name, value) = (arguments.text("setting_name")?, arguments.text("new_value")?);
        let is_local = arguments.bool("is_local")?;
        settings::set(context, &name, Some(&value), is_local).await?;
        Ok(Value::Text(value))
    }
}
