use std::pin::pin;

use anyhow::{Context, Result};
use bytes::{BufMut, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::Client;

use crate::client::put_vector;

const CHUNK_BYTES: usize = 256 << 10;

/// A value of a row, in the binary form that COPY reads.
#[derive(Clone, Copy, Debug)]
pub enum Column<'a> {
    Null,
    Int8(i64),
    Text(&'a str),
    Vector(&'a [f32]),
    HalfVec(&'a [f32]),
}

pub type Row<'a> = Vec<Column<'a>>;

/// Copies the rows into the table's columns, in binary. Gives the number of rows.
pub async fn load<'a>(
    client: &Client,
    table: &str,
    columns: &str,
    rows: impl IntoIterator<Item = Row<'a>>,
) -> Result<u64> {
    let sql = format!("COPY {table} ({columns}) FROM STDIN (FORMAT binary)");
    let mut sink = pin!(client.copy_in(&sql).await.with_context(|| sql.clone())?);
    let mut buffer = BytesMut::with_capacity(CHUNK_BYTES * 2);
    buffer.put_slice(b"PGCOPY\n\xff\r\n\0");
    buffer.put_u64(0);
    for row in rows {
        buffer.put_i16(row.len() as i16);
        for column in row {
            put_column(&mut buffer, column);
        }
        if buffer.len() >= CHUNK_BYTES {
            sink.send(buffer.split().freeze()).await?;
        }
    }
    buffer.put_i16(-1);
    sink.send(buffer.freeze()).await?;
    sink.finish().await.context(sql)
}

fn put_column(buffer: &mut BytesMut, column: Column<'_>) {
    match column {
        Column::Null => buffer.put_i32(-1),
        Column::Int8(value) => {
            buffer.put_i32(8);
            buffer.put_i64(value);
        }
        Column::Text(text) => {
            buffer.put_i32(text.len() as i32);
            buffer.put_slice(text.as_bytes());
        }
        Column::Vector(vector) => {
            buffer.put_i32(4 + 4 * vector.len() as i32);
            put_vector(buffer, vector, false);
        }
        Column::HalfVec(vector) => {
            buffer.put_i32(4 + 2 * vector.len() as i32);
            put_vector(buffer, vector, true);
        }
    }
}
