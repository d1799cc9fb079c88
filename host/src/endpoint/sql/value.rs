use std::cmp::Ordering;

use bytes::{BufMut, BytesMut};

use super::{Refused, code, json, parse_time, time_text};

/// PostgreSQL counts its times from 2000-01-01.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The types that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Bool,
    Int4,
    Int8,
    Float8,
    Text,
    Jsonb,
    /// timestamptz
    Time,
}

/// A value of one of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Json(serde_json::Value),
    /// Microseconds since 1970-01-01 UTC.
    Time(i64),
}

impl Kind {
    pub const ALL: [Kind; 7] = [Kind::Bool, Kind::Int8, Kind::Int4, Kind::Text, Kind::Float8, Kind::Time, Kind::Jsonb];

    pub fn oid(self) -> u32 {
        match self {
            Kind::Bool => 16,
            Kind::Int4 => 23,
            Kind::Int8 => 20,
            Kind::Float8 => 701,
            Kind::Text => 25,
            Kind::Jsonb => 3802,
            Kind::Time => 1184,
        }
    }

    /// Of the type of its arrays.
    pub fn array_oid(self) -> u32 {
        match self {
            Kind::Bool => 1000,
            Kind::Int4 => 1007,
            Kind::Int8 => 1016,
            Kind::Float8 => 1022,
            Kind::Text => 1009,
            Kind::Jsonb => 3807,
            Kind::Time => 1185,
        }
    }

    /// `pg_type.typname`
    pub fn short_name(self) -> &'static str {
        match self {
            Kind::Bool => "bool",
            Kind::Int4 => "int4",
            Kind::Int8 => "int8",
            Kind::Float8 => "float8",
            Kind::Time => "timestamptz",
            Kind::Text | Kind::Jsonb => self.name(),
        }
    }

    /// By either name; None for a type that there is not.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name || kind.short_name() == name)
    }

    /// `pg_type.typlen`
    pub fn size(self) -> i16 {
        match self {
            Kind::Bool => 1,
            Kind::Int4 => 4,
            Kind::Int8 | Kind::Float8 | Kind::Time => 8,
            Kind::Text | Kind::Jsonb => -1,
        }
    }

    /// As SQL's standard, and `information_schema`, name it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Bool => "boolean",
            Kind::Int4 => "integer",
            Kind::Int8 => "bigint",
            Kind::Float8 => "double precision",
            Kind::Text => "text",
            Kind::Jsonb => "jsonb",
            Kind::Time => "timestamp with time zone",
        }
    }

    pub fn is_number(self) -> bool {
        matches!(self, Kind::Int4 | Kind::Int8 | Kind::Float8)
    }
}

impl Value {
    pub fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    /// Null where there is none.
    pub fn of<T>(value: Option<T>, make: impl FnOnce(T) -> Value) -> Value {
        value.map_or(Value::Null, make)
    }

    /// As `kind`'s output function prints it; None for NULL.
    pub fn to_text(&self) -> Option<String> {
        Some(match self {
            Value::Null => return None,
            Value::Bool(true) => "t".to_owned(),
            Value::Bool(false) => "f".to_owned(),
            Value::Int(number) => number.to_string(),
            Value::Float(number) if number.is_infinite() => {
                if *number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
            }
            Value::Float(number) => number.to_string(),
            Value::Text(text) => text.clone(),
            Value::Json(json) => json::to_text(json),
            Value::Time(micros) => time_text(*micros),
        })
    }

    /// Writes length and bytes as DataRow wants them.
    pub fn put(&self, kind: Kind, binary: bool, out: &mut BytesMut) {
        let start = out.len();
        out.put_i32(-1);
        match self {
            Value::Null => return,
            _ if !binary => out.put_slice(self.to_text().unwrap_or_default().as_bytes()),
            Value::Bool(value) => out.put_u8(u8::from(*value)),
            // Integers were checked against their kind's range when they were made.
            Value::Int(number) if kind == Kind::Int4 => out.put_i32(*number as i32),
            Value::Int(number) => out.put_i64(*number),
            Value::Float(number) => out.put_f64(*number),
            Value::Text(text) => out.put_slice(text.as_bytes()),
            Value::Json(json) => {
                out.put_u8(1);
                out.put_slice(json::to_text(json).as_bytes());
            }
            Value::Time(micros) => out.put_i64(micros.saturating_sub(POSTGRES_EPOCH_MICROS)),
        }
        let length = (out.len() - start - 4) as i32;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }

    /// Reads what a client sends in the binary format of `kind`.
    ///
    /// # Errors
    /// It is not of that format.
    pub fn from_binary(kind: Kind, bytes: &[u8]) -> Result<Value, Refused> {
        let malformed = || Refused::new("22P03", format!("incorrect binary data for type {}", kind.name()));
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| malformed());
        Ok(match kind {
            Kind::Bool => match bytes {
                [byte] => Value::Bool(*byte != 0),
                _ => return Err(malformed()),
            },
            Kind::Int4 => Value::Int(i32::from_be_bytes(bytes.try_into().map_err(|_| malformed())?).into()),
            Kind::Int8 => Value::Int(i64::from_be_bytes(bytes.try_into().map_err(|_| malformed())?)),
            Kind::Float8 => Value::Float(f64::from_be_bytes(bytes.try_into().map_err(|_| malformed())?)),
            Kind::Time => {
                let micros = i64::from_be_bytes(bytes.try_into().map_err(|_| malformed())?);
                Value::Time(micros.saturating_add(POSTGRES_EPOCH_MICROS))
            }
            Kind::Text => Value::Text(text(bytes)?),
            Kind::Jsonb => match bytes {
                [1, json @ ..] => Value::Text(text(json)?).cast(Kind::Jsonb)?,
                _ => return Err(malformed()),
            },
        })
    }

    /// The value as one of another type.
    ///
    /// # Errors
    /// It has no such value, or lies out of range.
    pub fn cast(self, kind: Kind) -> Result<Value, Refused> {
        match (self, kind) {
            (Value::Null, _) => Ok(Value::Null),
            (Value::Text(text), kind) => parse(text, kind),
            (value @ Value::Bool(_), Kind::Bool)
            | (value @ Value::Float(_), Kind::Float8)
            | (value @ Value::Json(_), Kind::Jsonb)
            | (value @ Value::Time(_), Kind::Time)
            | (value @ Value::Int(_), Kind::Int8) => Ok(value),
            (Value::Bool(value), Kind::Text) => Ok(Value::text(if value { "true" } else { "false" })),
            (Value::Bool(value), Kind::Int4) => Ok(Value::Int(value.into())),
            (Value::Int(number), Kind::Bool) => Ok(Value::Bool(number != 0)),
            (Value::Int(number), Kind::Int4) => match i32::try_from(number) {
                Ok(_) => Ok(Value::Int(number)),
                Err(_) => Err(Refused::new(code::OUT_OF_RANGE, "integer out of range")),
            },
            (Value::Int(number), Kind::Float8) => Ok(Value::Float(number as f64)),
            (Value::Float(number), Kind::Int4 | Kind::Int8) => {
                let rounded = number.round_ties_even();
                if !(-9.2e18..=9.2e18).contains(&rounded) {
                    return Err(Refused::new(code::OUT_OF_RANGE, format!("{} out of range", kind.name())));
                }
                Value::Int(rounded as i64).cast(kind)
            }
            (value, Kind::Text) => Ok(value.to_text().map_or(Value::Null, Value::Text)),
            (value, kind) => Err(Refused::new(
                "42846",
                format!("cannot cast {} to {}", value.kind().map_or("NULL", Kind::name), kind.name()),
            )),
        }
    }

    /// None for NULL; int8 for every integer.
    pub fn kind(&self) -> Option<Kind> {
        Some(match self {
            Value::Null => return None,
            Value::Bool(_) => Kind::Bool,
            Value::Int(_) => Kind::Int8,
            Value::Float(_) => Kind::Float8,
            Value::Text(_) => Kind::Text,
            Value::Json(_) => Kind::Jsonb,
            Value::Time(_) => Kind::Time,
        })
    }

    /// None where one is NULL, or the two cannot be compared.
    pub fn compare(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
            (Value::Float(a), Value::Float(b)) => Some(total(*a, *b)),
            (Value::Int(a), Value::Float(b)) => Some(total(*a as f64, *b)),
            (Value::Float(a), Value::Int(b)) => Some(total(*a, *b as f64)),
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
            (Value::Json(a), Value::Json(b)) if a == b => Some(Ordering::Equal),
            (Value::Json(a), Value::Json(b)) => Some(json::to_text(a).cmp(&json::to_text(b))),
            _ => None,
        }
    }
}

/// As in PostgreSQL: -0 equals 0, and NaN equals itself and is the largest.
fn total(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

fn parse(text: String, kind: Kind) -> Result<Value, Refused> {
    let trimmed = text.trim();
    let parsed = match kind {
        Kind::Text => return Ok(Value::Text(text)),
        Kind::Bool => match trimmed.to_ascii_lowercase().as_str() {
            "t" | "true" | "on" | "yes" | "y" | "1" => Some(Value::Bool(true)),
            "f" | "false" | "off" | "no" | "n" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        Kind::Int4 => trimmed.parse::<i32>().ok().map(|number| Value::Int(number.into())),
        Kind::Int8 => trimmed.parse().ok().map(Value::Int),
        Kind::Float8 => trimmed.parse().ok().map(Value::Float),
        Kind::Jsonb => serde_json::from_str(&text).ok().map(Value::Json),
        Kind::Time => parse_time(trimmed).map(Value::Time),
    };
    parsed.ok_or_else(|| {
        Refused::new(code::INVALID_TEXT, format!("invalid input syntax for type {}: {text:?}", kind.name()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_cast() {
        let check = |value: Value, kind: Kind, expected: Result<Value, &str>| {
            let found = value.clone().cast(kind);
            match (&found, &expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(error), Err(code)) => assert_eq!(&error.code, code),
                _ => panic!("{value:?} to {kind:?}: {found:?}, expected {expected:?}"),
            }
        };
        check(Value::text(" 7 "), Kind::Int4, Ok(Value::Int(7)));
        check(Value::text("3000000000"), Kind::Int4, Err("22P02"));
        check(Value::Int(3_000_000_000), Kind::Int4, Err("22003"));
        check(Value::Float(2.5), Kind::Int8, Ok(Value::Int(2)));
        check(Value::Float(f64::NAN), Kind::Int8, Err("22003"));
        check(Value::text("off"), Kind::Bool, Ok(Value::Bool(false)));
        check(Value::text("{"), Kind::Jsonb, Err("22P02"));
        check(Value::Null, Kind::Jsonb, Ok(Value::Null));
        check(Value::Time(0), Kind::Text, Ok(Value::text("1970-01-01 00:00:00+00")));
        check(Value::Time(0), Kind::Int8, Err("42846"));
    }

    #[test]
    fn what_is_written_in_binary_is_read_again() {
        let check = |value: Value, kind: Kind| {
            let mut out = BytesMut::new();
            value.put(kind, true, &mut out);
            assert_eq!(Value::from_binary(kind, &out[4..]), Ok(value));
            assert_eq!(i32::from_be_bytes([out[0], out[1], out[2], out[3]]) as usize, out.len() - 4);
        };
        check(Value::Bool(true), Kind::Bool);
        check(Value::Int(-5), Kind::Int4);
        check(Value::Int(i64::MAX), Kind::Int8);
        check(Value::Float(0.1), Kind::Float8);
        check(Value::text("häh"), Kind::Text);
        check(Value::Json(serde_json::json!({"a": [1, null]})), Kind::Jsonb);
        check(Value::Time(1_700_000_000_000_001), Kind::Time);
        for kind in [Kind::Bool, Kind::Int4, Kind::Int8, Kind::Float8, Kind::Jsonb, Kind::Time] {
            assert!(Value::from_binary(kind, b"abc").is_err());
        }
    }
}
