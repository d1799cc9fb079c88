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

/// `hnsw.ef_search` or `ivfflat.probes` as a new session of this database has it, if its role has no setting of
/// its own. Unknown where only the asking role's own setting can be seen. Ask in a new session: one that has been
/// open for long, or that used SET, does not know what new ones get.
pub async fn search_parameter(client: &Client, method: AccessMethod) -> Result<Measured<u32>, CatalogError> {
    let name = method.parameter();
    match new_session_value(client, name).await? {
        Measured::Known(text) => Ok(match text.parse() {
            Ok(value) => Measured::Known(value),
            Err(_) => Measured::unknown(format!("{name} has the value {text:?}, which is no number")),
        }),
        Measured::Unknown(reason) => Ok(Measured::Unknown(reason)),
    }
}

/// `hnsw.iterative_scan` or `ivfflat.iterative_scan` of a new session; None where this pgvector has none (before 0.8).
pub async fn iterative_scan(client: &Client, method: AccessMethod) -> Result<Option<String>, CatalogError> {
    let name = format!("{method}.iterative_scan");
    Ok(new_session_value(client, &name).await?.known().cloned())
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

const NEW_SESSION_VALUE: &str = "
SELECT s.reset_val, s.source IN ('user', 'database user'),
    (SELECT substr(c, strpos(c, '=') + 1) FROM pg_catalog.pg_db_role_setting r CROSS JOIN LATERAL unnest(r.setconfig) AS c
        WHERE r.setrole = 0 AND split_part(c, '=', 1) = $1
            AND (r.setdatabase = 0 OR r.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
        ORDER BY r.setdatabase DESC LIMIT 1)
FROM pg_catalog.pg_settings s WHERE s.name = $1";

async fn new_session_value(client: &Client, name: &str) -> Result<Measured<String>, CatalogError> {
    load_library(client).await?;
    let Some(row) = client.query_opt(NEW_SESSION_VALUE, &[&name]).await? else {
        return Ok(Measured::unknown(format!("this pgvector has no setting {name}")));
    };
    let from_own_role: bool = row.try_get(1)?;
    let for_all: Option<String> = row.try_get(2)?;
    Ok(match (from_own_role, row.try_get::<_, Option<String>>(0)?, for_all) {
        (false, Some(value), _) => Measured::Known(value),
        (_, _, Some(value)) => Measured::Known(value),
        _ => Measured::unknown(format!(
            "this role has its own {name}, which hides what other roles get; measure with a role without it"
        )),
    })
}
