use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use serde_json::{Map, Value as Json};

use super::{Column, Row, Value, iso_text};

/// As PostgreSQL prints jsonb: a blank after every colon and comma.
pub fn to_text(json: &Json) -> String {
    let mut text = Vec::new();
    // Neither the document nor a vector can make this fail.
    let _ = json.serialize(&mut Serializer::with_formatter(&mut text, Spaced));
    String::from_utf8(text).unwrap_or_default()
}

/// A row as an object, by column.
pub fn object_of(columns: &[Column], row: Row) -> Json {
    let members: Map<String, Json> =
        columns.iter().zip(row).map(|(column, value)| (column.name.clone(), member(value))).collect();
    Json::Object(members)
}

fn member(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => value.into(),
        Value::Int(number) => number.into(),
        // JSON knows no NaN; null says that there is no number.
        Value::Float(number) => number.into(),
        Value::Text(text) => text.into(),
        Value::Json(json) => json,
        Value::Time(micros) => iso_text(micros).into(),
    }
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_look_as_in_postgres() {
        let check = |json: Json, expected: &str| assert_eq!(to_text(&json), expected);
        check(json!({"a": [1, 2.5, null], "b": {}}), r#"{"a": [1, 2.5, null], "b": {}}"#);
        check(json!([]), "[]");
        check(json!("é\n"), r#""é\n""#);
    }
}
