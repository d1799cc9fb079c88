use std::fmt::Debug;

use serde_json::json;
use tracing::field::{Field, Visit};

/// A value that an attribute can have.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Integer(i64),
    Real(f64),
    Truth(bool),
}

/// Fields of a span or an event, each name once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(pub Vec<(String, Value)>);

impl Attributes {
    /// The later value of a name holds: a field is recorded when its value is known.
    fn put(&mut self, field: &Field, value: Value) {
        match self.0.iter_mut().find(|(name, _)| name == field.name()) {
            Some((_, present)) => *present = value,
            None => self.0.push((field.name().to_owned(), value)),
        }
    }

    /// Takes an attribute out, as text.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(found, _)| found == name)?;
        Some(match self.0.remove(at).1 {
            Value::Text(text) => text,
            Value::Integer(number) => number.to_string(),
            Value::Real(number) => number.to_string(),
            Value::Truth(truth) => truth.to_string(),
        })
    }

    /// As OTLP has them. 64-bit integers are texts in its JSON.
    pub fn to_json(&self) -> serde_json::Value {
        self.0
            .iter()
            .map(|(name, value)| {
                let value = match value {
                    Value::Text(text) => json!({"stringValue": text}),
                    Value::Integer(number) => json!({"intValue": number.to_string()}),
                    Value::Real(number) => json!({"doubleValue": number}),
                    Value::Truth(truth) => json!({"boolValue": truth}),
                };
                json!({"key": name, "value": value})
            })
            .collect()
    }
}

impl Visit for Attributes {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::Text(value.to_owned()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::Integer(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, i64::try_from(value).map_or_else(|_| Value::Text(value.to_string()), Value::Integer));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no other numbers.
        let value = if value.is_finite() { Value::Real(value) } else { Value::Text(value.to_string()) };
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Truth(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, Value::Text(format!("{value:?}")));
    }
}
