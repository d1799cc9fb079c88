use std::time::Duration;

use crate::components::HostError;
use crate::heal::repair::error::database_error;
use crate::heal::repair::session::ActionSession;
use crate::model::quote_identifier;

/// Makes every session plan its prepared statements on the table anew: plans made before a swap would go on with
/// the old index until it is dropped. A rename of an index does not tell them, a column's statistics target does,
/// written as it is; it locks out no reader or writer.
pub async fn replan(session: &ActionSession, table_oid: u32, lock_timeout: Duration) -> Result<(), HostError> {
    let row = session
        .query_opt(
            "SELECT format('%I.%I', n.nspname, c.relname), a.attname::text, coalesce(a.attstattarget, -1)::int
               FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
              WHERE c.oid = $1 ORDER BY a.attnum LIMIT 1",
            &[&table_oid],
        )
        .await
        .map_err(|e| database_error(&e))?;
    let Some(row) = row else { return Ok(()) };
    let (table, column, target): (String, String, i32) = (row.get(0), row.get(1), row.get(2));
    let timeout = format!("{}ms", lock_timeout.as_millis().max(1));
    session.set(&[("lock_timeout", &timeout)]).await?;
    session
        .run(&format!("ALTER TABLE ONLY {table} ALTER COLUMN {} SET STATISTICS {target}", quote_identifier(&column)))
        .await
}
