use std::fmt;

use tokio_postgres::Client;

use super::CatalogError;
use crate::model::{AccessMethod, Measured, quote_identifier};

/// A setting of pgvector that somebody made for a database, a role or a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterOverride {
    /// None: every database.
    pub database: Option<String>,
    /// None: every role.
    pub role: Option<String>,
    /// The function that carries the setting, with its argument types.
    pub function: Option<String>,
    /// For example `hnsw.ef_search`.
    pub name: String,
    pub value: String,
}

const DATABASE_AND_ROLE_OVERRIDES: &str = "
SELECT d.datname::text, r.rolname::text, NULL::text, split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)
FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS c
    LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
WHERE (s.setdatabase = 0 OR d.datname = current_database()) AND c ~ '^(hnsw|ivfflat)[.]'
UNION ALL
SELECT current_database()::text, NULL, p.oid::regprocedure::text, split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)
FROM pg_catalog.pg_proc p CROSS JOIN LATERAL unnest(p.proconfig) AS c
WHERE c ~ '^(hnsw|ivfflat)[.]'
ORDER BY 1, 2, 3, 4";

impl fmt::Display for ParameterOverride {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.name, self.value)?;
        match (&self.function, &self.role, &self.database) {
            (Some(function), _, _) => write!(f, " in function {function}"),
            (None, Some(role), Some(_)) => write!(f, " for role {role} in this database"),
            (None, Some(role), None) => write!(f, " for role {role}"),
            (None, None, Some(_)) => f.write_str(" for this database"),
            (None, None, None) => f.write_str(" for all roles"),
        }
    }
}

/// Every `hnsw.*` and `ivfflat.*` setting that applies to this database: for all roles, for one, or in a function.
pub async fn parameter_overrides(client: &Client) -> Result<Vec<ParameterOverride>, CatalogError> {
    let mut overrides = Vec::new();
    for row in client.query(DATABASE_AND_ROLE_OVERRIDES, &[]).await? {
        overrides.push(ParameterOverride {
            database: row.try_get(0)?,
            role: row.try_get(1)?,
            function: row.try_get(2)?,
            name: row.try_get(3)?,
            value: row.try_get(4)?,
        });
    }
    Ok(overrides)
}

/// `hnsw.ef_search` or `ivfflat.probes` as a new session of this role in this database has it; other roles and
/// functions may have settings of their own, see `parameter_overrides`. Ask in a new session: one that has been open
/// for long does not know what new ones get.
pub async fn search_parameter(client: &Client, method: AccessMethod) -> Result<Measured<u32>, CatalogError> {
    let name = method.parameter();
    Ok(match new_session_value(client, name).await? {
        Some(text) => match text.parse() {
            Ok(value) => Measured::Known(value),
            Err(_) => Measured::unknown(format!("{name} has the value {text:?}, which is no number")),
        },
        None => Measured::unknown(format!("this pgvector has no setting {name}")),
    })
}

/// `hnsw.iterative_scan` or `ivfflat.iterative_scan` of a new session; None where this pgvector has none (before 0.8).
pub async fn iterative_scan(client: &Client, method: AccessMethod) -> Result<Option<String>, CatalogError> {
    new_session_value(client, &format!("{method}.iterative_scan")).await
}

/// A custom setting has its default and its checks only once the library is loaded.
async fn load_library(client: &Client) -> Result<(), CatalogError> {
    let schema: Option<String> = client
        .query_opt(
            "SELECT n.nspname::text FROM pg_catalog.pg_extension e
                JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'",
            &[],
        )
        .await?
        .map(|row| row.try_get(0))
        .transpose()?;
    let Some(schema) = schema else {
        let row = client.query_one("SELECT current_database()::text", &[]).await?;
        return Err(CatalogError::NoVectorExtension { database: row.try_get(0)? });
    };
    client.execute(&format!("SELECT '[1]'::{}.vector IS NULL", quote_identifier(&schema)), &[]).await?;
    Ok(())
}

async fn new_session_value(client: &Client, name: &str) -> Result<Option<String>, CatalogError> {
    load_library(client).await?;
    let row = client.query_opt("SELECT reset_val FROM pg_catalog.pg_settings WHERE name = $1", &[&name]).await?;
    Ok(row.map(|row| row.try_get::<_, Option<String>>(0)).transpose()?.flatten())
}
