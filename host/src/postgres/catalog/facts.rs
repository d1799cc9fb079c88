use tokio_postgres::Client;

use super::CatalogError;

/// How index pages can be read by the session's role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageAccess {
    /// pageinspect's `get_raw_page` in this schema, as a superuser.
    GetRawPage { schema: String },
    /// `pgheal.read_index_pages(index regclass, first_block bigint, block_count bigint)` gives rows of
    /// (block bigint, page bytea), for vector indexes only.
    Reader,
    /// No pages; the reason says what is missing.
    None { reason: String },
}

impl PageAccess {
    pub fn reason(&self) -> Option<&str> {
        match self {
            PageAccess::None { reason } => Some(reason),
            _ => None,
        }
    }
}

/// What holds for the whole server or database, as the session's role sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerFacts {
    pub database: String,
    /// For example 180006.
    pub version_num: u32,
    /// For example `18.6`.
    pub version: String,
    /// The installed version of the extension, for example `0.8.6`; not that of the library file.
    pub vector_version: String,
    /// The schema that holds pgvector's types and operators.
    pub vector_schema: String,
    pub role: String,
    pub is_superuser: bool,
    pub in_recovery: bool,
    pub page_access: PageAccess,
    /// Bytes of a page; 8192 unless PostgreSQL was built otherwise.
    pub block_size: u32,
    pub shared_buffers_bytes: u64,
}

const FACTS: &str = "
SELECT current_database()::text, current_setting('server_version_num')::int, current_setting('server_version'),
    current_user::text, (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),
    pg_is_in_recovery(), current_setting('block_size')::int,
    pg_size_bytes(current_setting('shared_buffers')),
    (SELECT array[e.extversion, n.nspname::text] FROM pg_catalog.pg_extension e
        JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'),
    (SELECT n.nspname::text FROM pg_catalog.pg_extension e
        JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pageinspect'),
    (SELECT has_function_privilege(p.oid, 'EXECUTE') AND has_schema_privilege(p.pronamespace, 'USAGE')
        FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'pgheal' AND p.proname = 'read_index_pages'
            AND pg_get_function_identity_arguments(p.oid) ~ '^(.* )?regclass, (.* )?bigint, (.* )?bigint$')";

/// Reads versions, role, page access and sizes. Fails with `NoVectorExtension` where pgvector is not installed.
pub async fn server_facts(client: &Client) -> Result<ServerFacts, CatalogError> {
    let row = client.query_one(FACTS, &[]).await?;
    let database: String = row.try_get(0)?;
    let Some(vector) = row.try_get::<_, Option<Vec<String>>>(8)? else {
        return Err(CatalogError::NoVectorExtension { database });
    };
    let [vector_version, vector_schema] = <[String; 2]>::try_from(vector).unwrap_or_default();
    let is_superuser = row.try_get::<_, Option<bool>>(4)?.unwrap_or(false);
    let role: String = row.try_get(3)?;
    let page_access =
        page_access(&role, is_superuser, row.try_get(9)?, row.try_get::<_, Option<bool>>(10)? == Some(true));
    Ok(ServerFacts {
        database,
        version_num: row.try_get::<_, i32>(1)?.unsigned_abs(),
        version: row.try_get(2)?,
        vector_version,
        vector_schema,
        role,
        is_superuser,
        in_recovery: row.try_get(5)?,
        page_access,
        block_size: row.try_get::<_, i32>(6)?.unsigned_abs(),
        shared_buffers_bytes: row.try_get::<_, i64>(7)?.unsigned_abs(),
    })
}

fn page_access(role: &str, is_superuser: bool, pageinspect_schema: Option<String>, reader: bool) -> PageAccess {
    match (pageinspect_schema, is_superuser) {
        (Some(schema), true) => PageAccess::GetRawPage { schema },
        _ if reader => PageAccess::Reader,
        (None, true) => PageAccess::None {
            reason: "needs page access: an administrator must run CREATE EXTENSION pageinspect in this database"
                .to_owned(),
        },
        (None, false) => PageAccess::None {
            reason: format!(
                "needs page access: CREATE EXTENSION pageinspect in this database and a superuser (role {role} is not one), or \
                 `pgheal install --daemon-role {role}` by one"
            ),
        },
        (Some(_), false) => PageAccess::None {
            reason: format!(
                "needs page access: pageinspect reads pages for superusers only, and role {role} is not one; \
                 `pgheal install --daemon-role {role}` gives it a page reader"
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(is_superuser: bool, pageinspect: Option<&str>, reader: bool, expected: &str) {
        let found = match page_access("ann", is_superuser, pageinspect.map(str::to_owned), reader) {
            PageAccess::GetRawPage { schema } => format!("get_raw_page in {schema}"),
            PageAccess::Reader => "reader".to_owned(),
            PageAccess::None { reason } => reason,
        };
        assert!(found.contains(expected), "{found:?} lacks {expected:?}");
    }

    #[test]
    fn the_best_access_is_taken_and_its_lack_explained() {
        check(true, Some("tools"), true, "get_raw_page in tools");
        check(false, Some("tools"), true, "reader");
        check(true, None, true, "reader");
        check(true, None, false, "CREATE EXTENSION pageinspect");
        check(false, Some("tools"), false, "role ann is not one");
        check(false, None, false, "and a superuser");
    }
}
