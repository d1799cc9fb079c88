use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::CatalogError;

/// What a name given by a person means: OIDs of indexes to list, none of them checked to be vector indexes.
pub(super) enum Resolved {
    Indexes(Vec<u32>),
    /// A relation of another kind bears the name.
    Other(String),
    Nothing,
}

const EXACT: &str = "
SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('i', 'I') AND (c.relname = $1 OR n.nspname || '.' || c.relname = $1)";

const LEAVES: &str = "
SELECT t.relid::oid FROM unnest($1::oid[]) AS given(oid) CROSS JOIN LATERAL pg_partition_tree(given.oid) AS t
WHERE t.isleaf
UNION
SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid = ANY($1::oid[]) AND c.relkind = 'i'";

/// Resolves `name`, `schema.name` and their quoted forms as SQL would; where that finds no index, the text is
/// taken as the name itself, in any schema (or with its schema). A partitioned index stands for its leaves.
pub(super) async fn resolve(client: &Client, name: &str) -> Result<Resolved, CatalogError> {
    let found = as_sql_name(client, name).await?;
    if let Some((oid, kind)) = &found
        && matches!(kind.as_str(), "i" | "I")
    {
        return Ok(Resolved::Indexes(leaves(client, &[*oid]).await?));
    }
    let mut exact = Vec::new();
    for row in client.query(EXACT, &[&unquoted(name).as_deref().unwrap_or(name)]).await? {
        exact.push(row.try_get(0)?);
    }
    if exact.is_empty() {
        return Ok(found.map_or(Resolved::Nothing, |(_, kind)| Resolved::Other(describe(&kind).to_owned())));
    }
    Ok(Resolved::Indexes(leaves(client, &exact).await?))
}

/// The name within one pair of double quotes.
fn unquoted(name: &str) -> Option<String> {
    let inner = name.strip_prefix('"')?.strip_suffix('"')?;
    let name = inner.replace("\"\"", "\0");
    (!name.contains('"')).then(|| name.replace('\0', "\""))
}

/// OID and relkind, where the text is a name in SQL's syntax and something bears it.
async fn as_sql_name(client: &Client, name: &str) -> Result<Option<(u32, String)>, CatalogError> {
    let query = "SELECT c.oid, c.relkind::text FROM pg_catalog.pg_class c WHERE c.oid = to_regclass($1)::oid";
    match client.query_opt(query, &[&name]).await {
        Ok(row) => row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose(),
        Err(error) if error.code().is_some_and(is_name_syntax) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// to_regclass refuses texts that are no names at all, instead of finding nothing.
fn is_name_syntax(code: &SqlState) -> bool {
    [
        SqlState::INVALID_NAME,
        SqlState::SYNTAX_ERROR,
        SqlState::FEATURE_NOT_SUPPORTED,
        SqlState::NAME_TOO_LONG,
        SqlState::INVALID_PARAMETER_VALUE,
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_OBJECT,
        SqlState::INVALID_SCHEMA_NAME,
        SqlState::INSUFFICIENT_PRIVILEGE,
    ]
    .contains(code)
}

async fn leaves(client: &Client, oids: &[u32]) -> Result<Vec<u32>, CatalogError> {
    let mut leaves = Vec::new();
    for row in client.query(LEAVES, &[&oids]).await? {
        leaves.push(row.try_get(0)?);
    }
    Ok(leaves)
}

fn describe(relkind: &str) -> &'static str {
    match relkind {
        "r" => "a table",
        "p" => "a partitioned table",
        "v" => "a view",
        "m" => "a materialized view",
        "S" => "a sequence",
        "f" => "a foreign table",
        "c" => "a composite type",
        "t" => "a TOAST table",
        _ => "another relation",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: Option<&str>) {
        assert_eq!(unquoted(input).as_deref(), expected);
    }

    #[test]
    fn one_pair_of_quotes_is_taken_off() {
        check("\"Bits.idx\"", Some("Bits.idx"));
        check("\"a\"\"b\"", Some("a\"b"));
        check("\"s\".\"n\"", None);
        check("plain", None);
        check("\"", None);
    }
}
