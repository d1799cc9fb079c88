use bytes::BytesMut;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::{DataRow, FieldDescription, RowDescription};
use pgwire::messages::response::CommandComplete;

use crate::endpoint::sql::{Column, Row};

/// What the columns of an answer are.
pub(super) fn description(columns: &[Column], binary: &[bool]) -> PgWireBackendMessage {
    let field = |(column, binary): (&Column, &bool)| {
        let kind = column.kind;
        FieldDescription::new(column.name.clone(), 0, 0, kind.oid(), kind.size(), -1, i16::from(*binary))
    };
    PgWireBackendMessage::RowDescription(RowDescription::new(columns.iter().zip(binary).map(field).collect()))
}

pub(super) fn data_row(columns: &[Column], binary: &[bool], row: &Row) -> PgWireBackendMessage {
    let mut data = BytesMut::with_capacity(64 * columns.len());
    for ((column, binary), value) in columns.iter().zip(binary).zip(row) {
        value.put(column.kind, *binary, &mut data);
    }
    PgWireBackendMessage::DataRow(DataRow::new(data, columns.len() as i16))
}

/// The end of a statement; only SELECT counts its rows.
pub(super) fn complete(tag: &str, rows: usize) -> PgWireBackendMessage {
    let tag = if tag == "SELECT" { format!("SELECT {rows}") } else { tag.to_owned() };
    PgWireBackendMessage::CommandComplete(CommandComplete::new(tag))
}
