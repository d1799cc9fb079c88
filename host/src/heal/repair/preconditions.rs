use tokio_postgres::Client;

use crate::components::HostError;
use crate::model::IndexDefinition;

use super::disk;
use super::error::database_error;
use super::settings::RepairSettings;

/// PostgreSQL 14.0 to 14.3 may corrupt an index that is built concurrently.
const BROKEN_VERSIONS: std::ops::RangeInclusive<i32> = 140_000..=140_003;
/// A build needs about its index again, and as much for sorting and WAL.
const DISK_FACTOR: u64 = 2;

const STATE: &str = "
SELECT current_setting('server_version_num')::int,
    pg_is_in_recovery(),
    pg_has_role(c.relowner, 'USAGE'),
    (SELECT format('backend %s, since %s', p.pid, a.query_start::timestamptz(0))
       FROM pg_stat_progress_create_index AS p JOIN pg_stat_activity AS a USING (pid)
      WHERE p.relid = c.oid AND p.datname = current_database() LIMIT 1),
    (SELECT format('backend %s of %s (%s), %s s old', pid, coalesce(usename, '?'), coalesce(state, '?'),
                   extract(epoch FROM now() - xact_start)::bigint)
       FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
        AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND xact_start < now() - $2 * interval '1 second'
      ORDER BY xact_start LIMIT 1),
    (SELECT count(*) FROM pg_locks WHERE pid IS NULL AND locktype = 'relation' AND relation = c.oid
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
    EXISTS (SELECT FROM pg_stat_activity AS a JOIN pg_locks AS l USING (pid)
             WHERE a.backend_type = 'autovacuum worker' AND a.query LIKE '%(to prevent wraparound)'
               AND l.locktype = 'relation' AND l.relation = c.oid)
FROM pg_class AS c WHERE c.oid = $1";

/// Whether an index can be built concurrently on the table now: what would make it wait for ever, fail, or
/// corrupt something.
pub async fn check_build(client: &Client, index: &IndexDefinition, settings: &RepairSettings) -> Result<(), HostError> {
    let table = index.name.qualified_table();
    let age_s = settings.max_transaction_age.as_secs_f64();
    let row = client
        .query_opt(STATE, &[&index.name.table_oid, &age_s])
        .await
        .map_err(|e| database_error(&e))?
        .ok_or_else(|| HostError::NotNow(format!("the table {table} does not exist any more")))?;
    if BROKEN_VERSIONS.contains(&row.get::<_, i32>(0)) {
        return Err(HostError::Denied(
            "PostgreSQL 14.0 to 14.3 can corrupt an index that is built concurrently; update the server first"
                .to_owned(),
        ));
    }
    if row.get(1) {
        return Err(HostError::NotNow("the server is in recovery".to_owned()));
    }
    if !row.get::<_, bool>(2) {
        return Err(HostError::Denied(format!("only the owner of {table} can build, rename and drop its indexes")));
    }
    if let Some(build) = row.get::<_, Option<String>>(3) {
        return Err(HostError::NotNow(format!("an index is being built on {table} already ({build})")));
    }
    if let Some(transaction) = row.get::<_, Option<String>>(4) {
        return Err(HostError::NotNow(format!("a long transaction would keep the build waiting: {transaction}")));
    }
    if row.get::<_, i64>(5) > 0 {
        return Err(HostError::NotNow(format!(
            "a prepared transaction (see pg_prepared_xacts) holds a lock on {table}"
        )));
    }
    if row.get(6) {
        return Err(HostError::NotNow(format!("autovacuum works on {table} to prevent wraparound")));
    }
    let needed = index.size_bytes.saturating_mul(DISK_FACTOR);
    if let Some(free) = disk::free_bytes(client, index.name.oid).await
        && free < needed
    {
        return Err(HostError::NotNow(format!("the build needs about {needed} bytes of disk and {free} are free")));
    }
    Ok(())
}
