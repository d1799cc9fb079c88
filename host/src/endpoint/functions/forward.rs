use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;

use super::arguments::Arguments;
use crate::daemon::api::{Caller, Role, SessionSettings};
use crate::endpoint::context::Context;
use crate::endpoint::sql::{Argument, Function, Kind, Refused, Value, code};
use crate::hex;

/// `pgheal.forward(json)`: a call of a function in the database, in the name of whoever called it there. The answer is
/// JSON as text: what the function returns, or an array of objects for a set. A call in hexadecimal digits is answered
/// in such: the databases have many encodings, and these are the same in all.
pub(super) struct Forward;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forwarded {
    caller: String,
    role: Role,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    function: String,
    #[serde(default)]
    arguments: Vec<serde_json::Value>,
}

#[async_trait]
impl Function for Forward {
    fn schema(&self) -> &'static str {
        "pgheal"
    }

    fn name(&self) -> &'static str {
        "forward"
    }

    fn arguments(&self) -> Vec<Argument> {
        vec![Argument::new("answer", Kind::Text)]
    }

    fn result(&self) -> Kind {
        Kind::Text
    }

    async fn call(&self, context: &Context, arguments: Vec<Value>) -> Result<Value, Refused> {
        if !context.forwards {
            let message = format!("{} may not speak for others", context.caller.name);
            return Err(Refused::new(code::NOT_PERMITTED, message)
                .with_hint("Only a user with forwards = true in pgheal.toml forwards calls."));
        }
        let text = Arguments::new(arguments).text("the call")?;
        let in_digits = hex::decode(&text);
        let call: Forwarded = serde_json::from_slice(in_digits.as_deref().unwrap_or(text.as_bytes()))
            .map_err(|error| Refused::new(code::INVALID_VALUE, format!("no forwarded call: {error}")))?;
        let mut in_its_name = context.clone();
        in_its_name.caller = Caller { name: call.caller, role: call.role };
        in_its_name.forwards = false;
        in_its_name.settings = SessionSettings(call.settings);
        // A placeholder setting takes any text in the database; here is where a bad value is found.
        context.engine.settings(&context.target()?, &in_its_name.settings)?;
        let arguments = call.arguments.into_iter().map(value).collect::<Result<Vec<Value>, Refused>>()?;
        let answer = super::invoke(&in_its_name, &call.function, arguments).await?.to_string();
        Ok(Value::Text(if in_digits.is_some() { hex::encode(answer.as_bytes()) } else { answer }))
    }
}

fn value(json: serde_json::Value) -> Result<Value, Refused> {
    match json {
        serde_json::Value::Null => Ok(Value::Null),
        serde_json::Value::Bool(value) => Ok(Value::Bool(value)),
        serde_json::Value::String(text) => Ok(Value::Text(text)),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Ok(Value::Int(number)),
            None => Ok(Value::Float(number.as_f64().unwrap_or(f64::NAN))),
        },
        other => Err(Refused::new(code::INVALID_VALUE, format!("no argument: {other}"))),
    }
}
