use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio_postgres::Client;

use super::{MeasureError, Subject};
use crate::model::quote_identifier;
use crate::pgvector::{ProbeSet, VectorType};
use crate::postgres::ServerFacts;
use crate::postgres::pages::{CopyParser, PagesError};

/// The type's name as SQL that means it in every session. Quoted, `bit` has no length of its own.
pub(super) fn sql_type(vector_type: VectorType, facts: &ServerFacts) -> String {
    let schema = match vector_type {
        VectorType::Bit => "pg_catalog",
        VectorType::Vector | VectorType::HalfVec | VectorType::SparseVec => &facts.vector_schema,
    };
    format!("{}.{}", quote_identifier(schema), quote_identifier(vector_type.as_str()))
}

const FIRST_VECTOR_COLUMN: &str = "
SELECT c.oid::regclass::text, a.attname::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE c.oid = to_regclass($1)::oid AND a.attnum > 0 AND NOT a.attisdropped
    AND t.typname IN ('vector', 'halfvec', 'sparsevec', 'bit', 'varbit')
ORDER BY a.attnum LIMIT 1";

/// Real queries from the configured table or view, cast to the indexed type; where it holds more than are wanted,
/// a sample that the seed makes repeatable.
pub(super) async fn from_table(subject: &Subject<'_>, table: &str) -> Result<ProbeSet, MeasureError> {
    let unusable = |reason: String| MeasureError::Queries { table: table.to_owned(), reason };
    let found = subject
        .session
        .query_opt(FIRST_VECTOR_COLUMN, &[&table])
        .await
        .map_err(|e| unusable(describe(&e)))?
        .ok_or_else(|| unusable("there is no such table or view with a vector column".to_owned()))?;
    let relation: String = found.try_get(0).map_err(MeasureError::Database)?;
    let column: String = found.try_get(1).map_err(MeasureError::Database)?;
    let column = quote_identifier(&column);
    let sql = format!(
        "COPY (SELECT q.{column}::{} FROM {relation} AS q WHERE q.{column} IS NOT NULL
            ORDER BY pg_catalog.hashtextextended(q.{column}::text, {}) LIMIT {}) TO STDOUT (FORMAT binary)",
        sql_type(subject.vector_type, &subject.facts),
        // Any 64 bits are a seed; the cast only changes how they are written.
        subject.options.seed as i64,
        subject.options.probe_count
    );
    let values = copy_one_column(&subject.session, &sql).await.map_err(|e| match e {
        PagesError::Database(e) => unusable(describe(&e)),
        other => MeasureError::Pages(other),
    })?;
    if values.is_empty() {
        return Err(unusable("it is empty".to_owned()));
    }
    Ok(ProbeSet::from_send_format(subject.vector_type, subject.metric, &values)?)
}

/// The values of a binary COPY of one column that holds no NULL.
pub(super) async fn copy_one_column(client: &Client, sql: &str) -> Result<Vec<Bytes>, PagesError> {
    let mut parser = CopyParser::new(1);
    let mut values = Vec::new();
    let mut copy = std::pin::pin!(client.copy_out(sql).await.map_err(PagesError::Database)?);
    while let Some(message) = copy.try_next().await.map_err(PagesError::Database)? {
        parser.push(message, |tuple| {
            values.extend(tuple.iter().flatten().cloned());
            Ok(())
        })?;
    }
    parser.finish()?;
    Ok(values)
}

fn describe(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |e| e.message().to_owned())
}
