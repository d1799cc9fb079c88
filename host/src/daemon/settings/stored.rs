use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::{Client, Error};

use super::{Layers, Setting, Source};

/// The weaker ones first.
const STORED: &str = "
SELECT CASE WHEN s.setrole <> 0 THEN 'role' WHEN s.setdatabase <> 0 THEN 'database' ELSE 'system' END,
    pg_catalog.split_part(c, '=', 1), pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1)
FROM pg_catalog.pg_db_role_setting AS s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c
WHERE s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
    AND s.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = session_user))
    AND pg_catalog.lower(c) LIKE 'ruvector.dag\\_healing\\_%'
ORDER BY s.setrole <> 0, s.setdatabase <> 0";

/// As STORED, in one text, with what the session has: it changes when somebody changes a setting.
const TRACE: &str = "
SELECT pg_catalog.concat_ws('|', pg_catalog.current_setting('ruvector.dag_healing_enabled', true),
    pg_catalog.current_setting('ruvector.dag_healing_interval_ms', true),
    pg_catalog.current_setting('ruvector.dag_healing_threshold', true),
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(':', s.setdatabase, s.setrole, c), '|' ORDER BY s.setdatabase, s.setrole, c)
       FROM pg_catalog.pg_db_role_setting AS s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c
      WHERE pg_catalog.lower(c) LIKE 'ruvector.dag\\_healing\\_%'))";

/// What ALTER SYSTEM, ALTER DATABASE and ALTER ROLE say, as a session that has just been opened has it: `client` must be
/// one. PostgreSQL does not list placeholders in `pg_settings`, and shows of each only the strongest value: what ALTER
/// SYSTEM says is seen where neither database nor role say anything.
///
/// # Errors
/// Of the connection.
pub async fn stored_settings(client: &Client) -> Result<Layers, Error> {
    let mut layers: BTreeMap<Source, BTreeMap<Setting, String>> = BTreeMap::new();
    let mut stored = BTreeSet::new();
    for row in client.query(STORED, &[]).await? {
        let Some(setting) = Setting::of_name(row.try_get::<_, &str>(1)?) else { continue };
        let source = match row.try_get::<_, &str>(0)? {
            "role" => Source::Role,
            "database" => Source::Database,
            _ => Source::System,
        };
        layers.entry(source).or_default().insert(setting, row.try_get(2)?);
        stored.insert(setting);
    }
    for setting in Setting::ALL.into_iter().filter(|setting| !stored.contains(setting)) {
        let row = client.query_one("SELECT pg_catalog.current_setting($1, true)", &[&setting.name()]).await?;
        if let Some(text) = row.try_get::<_, Option<String>>(0)? {
            layers.entry(Source::System).or_default().insert(setting, text);
        }
    }
    let mut all = Layers::default();
    for source in [Source::System, Source::Database, Source::Role] {
        all.replace(source, layers.remove(&source).unwrap_or_default());
    }
    Ok(all)
}

/// A text that differs from the one before where a stored setting was changed meanwhile.
///
/// # Errors
/// Of the connection.
pub async fn trace_of_stored_settings(client: &Client) -> Result<String, Error> {
    client.query_one(TRACE, &[]).await?.try_get(0)
}
