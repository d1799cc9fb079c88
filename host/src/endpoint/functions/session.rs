use std::time::SystemTime;

use async_trait::async_trait;

use super::arguments::Arguments;
use crate::endpoint::context::Context;
use crate::endpoint::login::SERVER_VERSION;
use crate::endpoint::settings;
use crate::endpoint::sql::{Argument, Function, Kind, Refused, Value, code, micros_of};

/// A function of PostgreSQL that tools ask when they connect.
struct Known {
    name: &'static str,
    result: Kind,
    arguments: fn() -> Vec<Argument>,
    answer: fn(&Context, Arguments) -> Result<Value, Refused>,
}

static KNOWN: [Known; 16] = [
    plain("version", Kind::Text, |_, _| {
        Ok(Value::Text(format!("PostgreSQL {SERVER_VERSION}: the endpoint of a pgheal daemon, not a database")))
    }),
    plain("current_database", Kind::Text, |context, _| Ok(Value::text(&context.session.database))),
    plain("current_catalog", Kind::Text, |context, _| Ok(Value::text(&context.session.database))),
    plain("current_schema", Kind::Text, |_, _| Ok(Value::text("pgheal"))),
    plain("current_user", Kind::Text, |context, _| Ok(Value::text(&context.session.user))),
    plain("session_user", Kind::Text, |context, _| Ok(Value::text(&context.session.user))),
    plain("user", Kind::Text, |context, _| Ok(Value::text(&context.session.user))),
    plain("current_role", Kind::Text, |context, _| Ok(Value::text(&context.session.user))),
    plain("pg_backend_pid", Kind::Int4, |context, _| Ok(Value::Int(context.session.pid.into()))),
    plain("pg_is_in_recovery", Kind::Bool, |_, _| Ok(Value::Bool(false))),
    plain("now", Kind::Time, |_, _| Ok(Value::Time(micros_of(SystemTime::now())))),
    plain("current_timestamp", Kind::Time, |_, _| Ok(Value::Time(micros_of(SystemTime::now())))),
    plain("clock_timestamp", Kind::Time, |_, _| Ok(Value::Time(micros_of(SystemTime::now())))),
    Known {
        name: "current_setting",
        result: Kind::Text,
        arguments: || {
            vec![
                Argument::new("setting_name", Kind::Text),
                Argument::new("missing_ok", Kind::Bool).with_default(Value::Bool(false)),
            ]
        },
        answer: |context, mut arguments| {
            let (name, missing_ok) = (arguments.text("setting_name")?, arguments.bool("missing_ok")?);
            match settings::show(context, &name) {
                Err(refused) if missing_ok && refused.code == code::UNKNOWN_OBJECT => Ok(Value::Null),
                shown => shown.map(Value::Text),
            }
        },
    },
    // Which types there are is what drivers ask for before they use one of an extension.
    Known {
        name: "to_regtype",
        result: Kind::Int8,
        arguments: || vec![Argument::new("name", Kind::Text)],
        answer: |_, mut arguments| {
            let name = arguments.text("name")?.trim().to_ascii_lowercase();
            let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
            Ok(Value::of(Kind::named(name), |kind| Value::Int(kind.oid().into())))
        },
    },
    Known {
        name: "pg_encoding_to_char",
        result: Kind::Text,
        arguments: || vec![Argument::new("encoding", Kind::Int4)],
        answer: |_, _| Ok(Value::text("UTF8")),
    },
];

const fn plain(name: &'static str, result: Kind, answer: fn(&Context, Arguments) -> Result<Value, Refused>) -> Known {
    Known { name, result, arguments: Vec::new, answer }
}

pub(super) fn all() -> impl Iterator<Item = &'static dyn Function> {
    KNOWN.iter().map(|known| known as &dyn Function)
}

#[async_trait]
impl Function for Known {
    fn schema(&self) -> &'static str {
        "pg_catalog"
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn arguments(&self) -> Vec<Argument> {
        (self.arguments)()
    }

    fn result(&self) -> Kind {
        self.result
    }

    async fn call(&self, context: &Context, arguments: Vec<Value>) -> Result<Value, Refused> {
        (self.answer)(context, Arguments::new(arguments))
    }
}
