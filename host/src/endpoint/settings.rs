use super::context::Context;
use super::sql::{Refused, code};
use crate::daemon::api::Role;

/// What the settings of the healing are called.
const PREFIX: &str = "ruvector.dag_healing_";

/// Sets, or with None sets back: a setting of the healing changes the running engine, others are the client's own.
/// Some where the client has to be told.
///
/// # Errors
/// There is no such setting, the value is not allowed, or the caller may not.
pub async fn set(
    context: &Context,
    name: &str,
    value: Option<&str>,
    is_local: bool,
) -> Result<Option<(&'static str, String)>, Refused> {
    if !is_healing(name) {
        return context.session.client.set(name, value);
    }
    if is_local {
        return Err(Refused::unsupported("SET LOCAL for settings of the healing")
            .with_hint("At the endpoint SET changes the running engine, for all."));
    }
    context.require(Role::Admin, "change settings of the healing")?;
    let target = context.target()?;
    // '' is what an unset placeholder reads in the database.
    let value = value.filter(|value| !value.is_empty());
    context.engine.set(&target, &name.to_ascii_lowercase(), value, &context.caller).await?;
    tracing::info!(target, setting = name, value, caller = context.caller.name, "setting changed");
    Ok(None)
}

/// The value of a setting, as SHOW tells it.
///
/// # Errors
/// There is no such setting, or no single target to ask about.
pub fn show(context: &Context, name: &str) -> Result<String, Refused> {
    if !is_healing(name) {
        return context.session.client.get(name);
    }
    let settings = context.engine.settings(&context.target()?, &context.settings)?;
    settings
        .into_iter()
        .find(|setting| setting.name.eq_ignore_ascii_case(name))
        .map(|setting| setting.value)
        .ok_or_else(|| Refused::new(code::UNKNOWN_OBJECT, format!("unrecognized configuration parameter {name:?}")))
}

fn is_healing(name: &str) -> bool {
    name.to_ascii_lowercase().starts_with(PREFIX)
}
