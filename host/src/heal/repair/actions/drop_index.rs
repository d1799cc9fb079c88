use std::time::Duration;

use crate::components::HostError;
use crate::heal::repair::error::database_error;
use crate::heal::repair::names::is_reindex_leftover;
use crate::heal::repair::session::ActionSession;
use crate::heal::repair::watch::{Limits, run_watched};
use crate::model::{Silent, quote_identifier};
use crate::postgres::Connector;

/// Drops an index of our own without blocking anybody; false where it is not there. Waits for the transactions
/// that use it, for as long as `stall` allows.
pub async fn drop_concurrently(
    connector: &Connector,
    schema: &str,
    name: &str,
    stall: Duration,
) -> Result<bool, HostError> {
    let session = ActionSession::open(connector, "drop").await?;
    let exists: bool = session
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                             WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'i')",
            &[&schema, &name],
        )
        .await
        .map_err(|e| database_error(&e))?
        .get(0);
    if !exists {
        return Ok(false);
    }
    let sql = format!("DROP INDEX CONCURRENTLY IF EXISTS {}.{}", quote_identifier(schema), quote_identifier(name));
    run_watched(connector, &session, &sql, Limits::unattended(stall), &Silent, None).await?;
    Ok(true)
}

/// OIDs of all indexes of a table.
pub async fn table_indexes(session: &ActionSession, table_oid: u32) -> Result<Vec<u32>, HostError> {
    let rows = session
        .query("SELECT indexrelid FROM pg_index WHERE indrelid = $1", &[&table_oid])
        .await
        .map_err(|e| database_error(&e))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Drops what an interrupted REINDEX CONCURRENTLY of the index `original` left: invalid, new since `oids_before`
/// was taken, named by PostgreSQL's own rule, and nobody builds it. Gives the names.
pub async fn drop_leftovers(
    connector: &Connector,
    schema: &str,
    original: &str,
    table_oid: u32,
    oids_before: &[u32],
    stall: Duration,
) -> Result<Vec<String>, HostError> {
    let session = ActionSession::open(connector, "cleanup").await?;
    let rows = session
        .query(
            "SELECT c.relname::text FROM pg_index AS x JOIN pg_class AS c ON c.oid = x.indexrelid
                    JOIN pg_namespace AS n ON n.oid = c.relnamespace
              WHERE x.indrelid = $1 AND n.nspname = $2 AND NOT x.indisvalid
                AND (x.indexrelid <> ALL ($3) OR c.relname ~ '_ccold[0-9]*$')
                AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS p
                                 WHERE p.datname = current_database() AND p.relid = x.indrelid)",
            &[&table_oid, &schema, &oids_before],
        )
        .await
        .map_err(|e| database_error(&e))?;
    let mut dropped = Vec::new();
    for name in rows.iter().map(|row| row.get::<_, String>(0)).filter(|name| is_reindex_leftover(original, name)) {
        drop_concurrently(connector, schema, &name, stall).await?;
        dropped.push(name);
    }
    Ok(dropped)
}
