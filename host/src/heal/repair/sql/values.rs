use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Column, Row};

use crate::components::{HostError, SqlValue};

/// A parameter in its text form, which PostgreSQL reads as whatever type it expects there.
#[derive(Debug)]
pub struct Parameter(pub SqlValue);

impl ToSql for Parameter {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match &self.0 {
            SqlValue::Null => return Ok(IsNull::Yes),
            SqlValue::Boolean(value) => out.put_slice(if *value { b"t" } else { b"f" }),
            SqlValue::Int64(value) => out.put_slice(value.to_string().as_bytes()),
            SqlValue::Float64(value) => out.put_slice(float_text(*value).as_bytes()),
            SqlValue::Text(value) if value.contains('\0') => return Err("a text holds a zero byte".into()),
            SqlValue::Text(value) => out.put_slice(value.as_bytes()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

fn float_text(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        (if value > 0.0 { "Infinity" } else { "-Infinity" }).to_owned()
    } else {
        value.to_string()
    }
}

/// One field of a result.
pub fn field(row: &Row, column: &Column, at: usize) -> Result<SqlValue, HostError> {
    let fault = |error: tokio_postgres::Error| HostError::Unknown(format!("column {}: {error}", column.name()));
    let value = match *column.type_() {
        Type::BOOL => row.try_get::<_, Option<bool>>(at).map_err(fault)?.map(SqlValue::Boolean),
        Type::INT2 => row.try_get::<_, Option<i16>>(at).map_err(fault)?.map(|v| SqlValue::Int64(v.into())),
        Type::INT4 => row.try_get::<_, Option<i32>>(at).map_err(fault)?.map(|v| SqlValue::Int64(v.into())),
        Type::INT8 => row.try_get::<_, Option<i64>>(at).map_err(fault)?.map(SqlValue::Int64),
        Type::OID => row.try_get::<_, Option<u32>>(at).map_err(fault)?.map(|v| SqlValue::Int64(v.into())),
        Type::FLOAT4 => row.try_get::<_, Option<f32>>(at).map_err(fault)?.map(|v| SqlValue::Float64(v.into())),
        Type::FLOAT8 => row.try_get::<_, Option<f64>>(at).map_err(fault)?.map(SqlValue::Float64),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
            row.try_get::<_, Option<String>>(at).map_err(fault)?.map(SqlValue::Text)
        }
        Type::JSON | Type::JSONB => row
            .try_get::<_, Option<serde_json::Value>>(at)
            .map_err(fault)?
            .map(|value| SqlValue::Text(value.to_string())),
        ref other => {
            return Err(HostError::Unknown(format!(
                "column {} is of type {other}; cast it to text, a number or boolean",
                column.name()
            )));
        }
    };
    Ok(value.unwrap_or(SqlValue::Null))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: f64, expected: &str) {
        assert_eq!(float_text(value), expected);
    }

    #[test]
    fn floats_are_written_as_postgresql_reads_them() {
        check(0.1, "0.1");
        check(f64::NAN, "NaN");
        check(f64::NEG_INFINITY, "-Infinity");
        check(1e300, &1e300_f64.to_string());
    }
}
