use std::ops::{Deref, DerefMut};

use anyhow::{Context, Result};
use bytes::{BufMut, BytesMut};
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// A session whose connection is driven in the background; it closes when dropped.
pub struct Client {
    client: tokio_postgres::Client,
    driver: JoinHandle<()>,
}

impl Client {
    pub async fn connect(url: &str) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.with_context(|| url.to_owned())?;
        let driver = tokio::spawn(async move {
            // The next call of the client tells of a loss.
            let _ = connection.await;
        });
        Ok(Client { client, driver })
    }
}

impl Deref for Client {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &Self::Target {
        &self.client
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.client
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Runs one or more statements.
pub async fn execute(client: &tokio_postgres::Client, sql: &str) -> Result<()> {
    client.batch_execute(sql).await.with_context(|| sql.to_owned())
}

/// The first column of the only row, as text; None for null.
pub async fn single(client: &tokio_postgres::Client, sql: &str) -> Result<Option<String>> {
    let messages = client.simple_query(sql).await.with_context(|| sql.to_owned())?;
    let row = messages.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let row = row.with_context(|| format!("no row: {sql}"))?;
    Ok(row.get(0).map(str::to_owned))
}

/// A query vector, in the binary form of `vector` or `halfvec`, whichever the statement wants.
#[derive(Debug)]
pub struct VectorParam<'a>(pub &'a [f32]);

impl ToSql for VectorParam<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        put_vector(out, self.0, ty.name() == "halfvec");
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        matches!(ty.name(), "vector" | "halfvec")
    }

    to_sql_checked!();
}

/// What `vector_send` and `halfvec_send` write: dimensions, an unused word, the elements.
pub(crate) fn put_vector(out: &mut BytesMut, vector: &[f32], half: bool) {
    out.put_u16(vector.len() as u16);
    out.put_u16(0);
    for &x in vector {
        if half {
            out.put_u16(half::f16::from_f32(x).to_bits());
        } else {
            out.put_f32(x);
        }
    }
}
