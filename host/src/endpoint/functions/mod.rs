//! The functions that can be called, one a file: the specification's five, the call that the functions in the database
//! forward, and what tools ask every PostgreSQL.

mod arguments;
mod detected_issues;
mod forward;
mod healing_status;
mod health_check;
mod repair;
mod repair_history;
mod session;
mod set_config;

pub(super) use detected_issues::{columns as issue_columns, row as issue_row};
pub(super) use repair_history::{columns as history_columns, row as history_row};

use super::context::Context;
use super::sql::{Function, Name, Refused, Row, Table, Value, Wanted, bind, code, object_of};

/// Functions of pgheal are in its own schema, and where people look first.
pub(super) const SCHEMAS: &[&str] = &["pgheal", "public"];

static FUNCTIONS: &[&dyn Function] = &[
    &healing_status::HealingStatus,
    &health_check::HealthCheck,
    &repair::Repair,
    &forward::Forward,
    &set_config::SetConfig,
];

static TABLES: &[&dyn Table] = &[&detected_issues::DetectedIssues, &repair_history::RepairHistory];

/// A function that returns a value.
pub(super) fn find(name: &Name) -> Option<&'static dyn Function> {
    FUNCTIONS.iter().copied().chain(session::all()).find(|function| is(name, function.schema(), function.name()))
}

/// A function that returns a set.
pub(super) fn find_table(name: &Name) -> Option<&'static dyn Table> {
    TABLES.iter().copied().find(|table| is(name, table.schema(), table.name()))
}

fn is(wanted: &Name, schema: &str, name: &str) -> bool {
    wanted.name == name && if schema == "pgheal" { wanted.is_in(SCHEMAS) } else { wanted.is_in(&[schema]) }
}

/// Calls one of the specification's functions by name. A set is answered as an array of objects.
async fn invoke(context: &Context, name: &str, given: Vec<Value>) -> Result<serde_json::Value, Refused> {
    let wanted = Name { schema: None, name: name.to_owned() };
    let is_forwarded = name.starts_with("ruvector_dag_");
    let given = given.into_iter().map(|value| (None, value)).collect();
    let default = |value: &Value, _| value.clone();
    if let Some(function) = find(&wanted).filter(|_| is_forwarded) {
        let expected = function.arguments();
        let bound = bind(name, &expected, given, default)?;
        let cast: Result<Vec<Value>, Refused> =
            bound.into_iter().zip(&expected).map(|(value, argument)| value.cast(argument.kind)).collect();
        return match function.call(context, cast?).await? {
            Value::Json(json) => Ok(json),
            other => Ok(serde_json::json!(other.to_text())),
        };
    }
    let Some(table) = find_table(&wanted).filter(|_| is_forwarded) else {
        return Err(Refused::new(code::UNKNOWN_FUNCTION, format!("function {name} does not exist")));
    };
    let expected = table.arguments().unwrap_or_default();
    let bound = bind(name, &expected, given, default)?;
    let cast: Result<Vec<Value>, Refused> =
        bound.into_iter().zip(&expected).map(|(value, argument)| value.cast(argument.kind)).collect();
    let rows: Vec<Row> = table.rows(context, cast?, &Wanted::default()).await?;
    let columns = table.columns();
    Ok(rows.into_iter().map(|row| object_of(&columns, row)).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::daemon::api::Role;
    use crate::endpoint::played::{Played, context, run, told};

    /// What comes of it: the answer, or SQLSTATE and message; and what the engine was asked for.
    async fn check(sql: &str, target: Option<&str>, role: Role, expected: Result<&str, &str>, asked: &[&str]) {
        let engine = Arc::new(Played::default());
        let context = context(Arc::clone(&engine), target, role, role == Role::Admin);
        let found = run(&context, sql, &[]).await;
        match (&found, expected) {
            (Ok(answer), Ok(part)) => assert!(told(answer).contains(part), "{sql}: {:?} lacks {part:?}", told(answer)),
            (Err(refused), Err(code)) => assert_eq!(refused.code, code, "{sql}: {refused}"),
            _ => panic!("{sql}: {found:?}, expected {expected:?}"),
        }
        assert_eq!(*engine.asked.lock().unwrap(), asked, "{sql}");
    }

    #[tokio::test]
    async fn the_five_functions_answer() {
        let reader = Role::Reader;
        let shop = Some("shop");
        check("SELECT ruvector_dag_healing_status()", shop, reader, Ok(r#""degraded": 1, "healthy": 1"#), &[]).await;
        check("SELECT pgheal.ruvector_dag_healing_status()->>'state'", Some("blog"), reader, Ok("failed"), &[]).await;
        check("SELECT ruvector_dag_healing_status()", None, reader, Err("42704"), &[]).await;
        check("SELECT public.ruvector_dag_health_check('docs')", shop, reader, Ok("measured_at"), &[]).await;
        check("SELECT ruvector_dag_health_check('other')", shop, reader, Err("42704"), &[]).await;
        check("SELECT ruvector_dag_health_check(NULL)", shop, reader, Err("22004"), &[]).await;
        check("SELECT ruvector_dag_health_check()", shop, reader, Err("42883"), &[]).await;
        check("SELECT * FROM ruvector_dag_detected_issues('docs')", shop, reader, Ok("stale_training-1|stale"), &[])
            .await;
        check("SELECT ruvector_dag_detected_issues('docs')", shop, reader, Ok("(stale_training-1,stale"), &[]).await;
        check("SELECT reason FROM ruvector_dag_repair_history('docs', 3)", shop, reader, Ok("of 3 days"), &[]).await;
        check("SELECT reason FROM ruvector_dag_repair_history('docs')", shop, reader, Ok("of 7 days"), &[]).await;
        check("SELECT * FROM ruvector_dag_repair_history('docs', 0)", shop, reader, Err("22023"), &[]).await;
    }

    #[tokio::test]
    async fn only_operators_repair_and_only_admins_set() {
        let shop = Some("shop");
        let repair = "SELECT ruvector_dag_repair('docs', 'x-1')";
        check(repair, shop, Role::Reader, Err("42501"), &[]).await;
        check(
            repair,
            shop,
            Role::Operator,
            Ok(r#"{"message": "asked for", "ticket": 7}"#),
            &["ann (operator) repairs shop docs x-1"],
        )
        .await;
        check("SELECT ruvector_dag_repair('docs', 'x-1') WHERE false", shop, Role::Admin, Ok(""), &[]).await;
        check("SELECT ruvector_dag_repair('docs', 'x-1') LIMIT 0", shop, Role::Admin, Ok(""), &[]).await;
        let set = "SET ruvector.dag_healing_threshold = 0.5";
        check(set, shop, Role::Operator, Err("42501"), &[]).await;
        let did = "ann sets ruvector.dag_healing_threshold of shop to Some(\"0.5\")";
        check(set, shop, Role::Admin, Ok(""), &[did]).await;
        check(
            "SELECT set_config('Ruvector.dag_healing_threshold', '0.5', false)",
            shop,
            Role::Admin,
            Ok("0.5"),
            &[did],
        )
        .await;
        check("SET LOCAL ruvector.dag_healing_threshold = 0.5", shop, Role::Admin, Err("0A000"), &[]).await;
        check(
            "RESET ruvector.dag_healing_threshold",
            shop,
            Role::Admin,
            Ok(""),
            &["ann sets ruvector.dag_healing_threshold of shop to None"],
        )
        .await;
        check("SHOW ruvector.dag_healing_threshold", shop, Role::Reader, Ok("0.3"), &[]).await;
    }

    #[tokio::test]
    async fn forwarded_calls_are_in_the_name_of_their_caller() {
        let shop = Some("shop");
        let call = |role: &str, function: &str, more: &str| {
            format!(
                "SELECT pgheal.forward('{{\"caller\":\"bob\",\"role\":\"{role}\",\"function\":\"{function}\"{more}}}')"
            )
        };
        let repair = |role| call(role, "ruvector_dag_repair", ",\"arguments\":[\"docs\",\"x-1\"]");
        check(&repair("operator"), shop, Role::Admin, Ok("\"ticket\":7"), &["bob (operator) repairs shop docs x-1"])
            .await;
        check(&repair("reader"), shop, Role::Admin, Err("42501"), &[]).await;
        check(&repair("root"), shop, Role::Admin, Err("22023"), &[]).await;
        check(&repair("operator"), shop, Role::Reader, Err("42501"), &[]).await;
        let issues = call("reader", "ruvector_dag_detected_issues", ",\"arguments\":[\"docs\"]");
        check(&issues, shop, Role::Admin, Ok("[{\"detected_at\":\"1970-01-01T00:02:00+00:00\""), &[]).await;
        let status =
            |settings: &str| call("reader", "ruvector_dag_healing_status", &format!(",\"settings\":{settings}"));
        let good = status("{\"ruvector.dag_healing_threshold\":\"0.2\"}");
        check(&good, shop, Role::Admin, Ok("\"source\":\"session\""), &[]).await;
        check(&status("{\"ruvector.dag_healing_threshold\":\"lots\"}"), shop, Role::Admin, Err("22023"), &[]).await;
        // `{"caller":"bob","role":"reader","function":"ruvector_dag_repair_history","arguments":["docs"]}`
        let digits = "7b2263616c6c6572223a22626f62222c22726f6c65223a22726561646572222c2266756e6374696f6e223a227275766563\
                      746f725f6461675f7265706169725f686973746f7279222c22617267756d656e7473223a5b22646f6373225d7d";
        // `[{`
        check(&format!("SELECT pgheal.forward('{digits}')"), shop, Role::Admin, Ok("5b7b22"), &[]).await;
        check("SELECT pgheal.forward('7b7')", shop, Role::Admin, Err("22023"), &[]).await;
        check(&call("reader", "set_config", ""), shop, Role::Admin, Err("42883"), &[]).await;
        check(&call("reader", "forward", ""), shop, Role::Admin, Err("42883"), &[]).await;
        check("SELECT pgheal.forward('hello')", shop, Role::Admin, Err("22023"), &[]).await;
    }
}
