use tokio_postgres::{Client, Row};

use super::filter::{Resolved, resolve};
use super::{CatalogError, server_facts};
use crate::model::{AccessMethod, IndexDefinition, IndexName};

/// Deparsed under an empty search path, so that every name in `expression`, `predicate` and `definition` is
/// qualified and means the same in every session. Sizes of relations under an exclusive lock come from the
/// statistics: asking for them would wait for the lock.
const INDEXES: &str = "
WITH path AS MATERIALIZED (SELECT set_config('search_path', 'pg_catalog', true)),
exclusive AS MATERIALIZED (
    SELECT l.relation FROM pg_catalog.pg_locks l
    WHERE l.mode = 'AccessExclusiveLock' AND l.granted AND l.pid <> pg_backend_pid()
        AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())),
building AS MATERIALIZED (
    SELECT p.index_relid FROM pg_catalog.pg_stat_progress_create_index p WHERE p.datname = current_database()),
wanted AS MATERIALIZED (
    SELECT c.oid, c.relname, c.relnamespace, c.reloptions, c.relpages, c.relispartition, c.relpersistence, c.relowner,
        m.amname, x.indrelid, x.indkey, x.indclass, x.indpred, x.indisvalid, x.indisready, x.indislive
    FROM path CROSS JOIN pg_catalog.pg_class c
        JOIN pg_catalog.pg_am m ON m.oid = c.relam
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_am'::regclass AND d.objid = m.oid AND d.deptype = 'e'
        JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND e.oid = d.refobjid
        JOIN pg_catalog.pg_index x ON x.indexrelid = c.oid
    WHERE m.amname IN ('hnsw', 'ivfflat') AND e.extname = 'vector' AND c.relkind = 'i'
        AND ($1::oid[] IS NULL OR c.oid = ANY($1)))
SELECT w.oid, n.nspname::text, w.relname::text, t.oid, tn.nspname::text, t.relname::text, w.amname::text,
    o.opcname::text, ty.typname::text, pg_get_indexdef(w.oid, 1, false), a.attname::text,
    pg_get_expr(w.indpred, w.indrelid), pg_get_indexdef(w.oid), w.reloptions,
    CASE WHEN w.oid IN (SELECT relation FROM exclusive)
        THEN greatest(w.relpages, 0) * current_setting('block_size')::bigint
        ELSE pg_relation_size(w.oid) END,
    w.indisvalid, w.indisready, w.indislive, w.relispartition, w.relpersistence::text,
    pg_get_userbyid(w.relowner)::text,
    (SELECT p.oprname::text FROM pg_catalog.pg_amop ao JOIN pg_catalog.pg_operator p ON p.oid = ao.amopopr
        WHERE ao.amopfamily = o.opcfamily AND ao.amoppurpose = 'o' AND ao.amoplefttype = o.opcintype
            AND ao.amoprighttype = o.opcintype ORDER BY ao.amopstrategy LIMIT 1),
    w.oid IN (SELECT index_relid FROM building WHERE index_relid IS NOT NULL)
        -- The progress of other roles' builds is hidden from ordinary roles: there, the lock that every build
        -- holds on its table counts.
        OR (NOT w.indisvalid AND NOT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AND EXISTS (
            SELECT FROM pg_catalog.pg_locks l WHERE l.relation = w.indrelid AND l.granted
                AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock')))
FROM wanted w
    JOIN pg_catalog.pg_namespace n ON n.oid = w.relnamespace
    JOIN pg_catalog.pg_class t ON t.oid = w.indrelid
    JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
    JOIN pg_catalog.pg_opclass o ON o.oid = w.indclass[0]
    JOIN pg_catalog.pg_type ty ON ty.oid = o.opcintype
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = w.indrelid AND a.attnum = w.indkey[0] AND w.indkey[0] <> 0
ORDER BY tn.nspname, t.relname, n.nspname, w.relname";

/// Every hnsw and ivfflat index of the database, ordered by table and name: also invalid ones, partial and
/// expression indexes, and the leaves of partitioned indexes (the partitioned parents hold no data and are not
/// listed). `name_filter` is an index name as a person writes it: `name`, `schema.name`, quoted or not.
///
/// Run it outside a transaction: within one, the search path stays changed until its end.
pub async fn vector_indexes(client: &Client, name_filter: Option<&str>) -> Result<Vec<IndexDefinition>, CatalogError> {
    let database = server_facts(client).await?.database;
    let Some(name) = name_filter else {
        let all = query(client, None).await?;
        return if all.is_empty() { Err(CatalogError::NoVectorIndex { database }) } else { Ok(all) };
    };
    match resolve(client, name).await? {
        Resolved::Nothing => Err(CatalogError::NoSuchIndex { name: name.to_owned(), database }),
        Resolved::Other(found) => Err(CatalogError::NotAVectorIndex { name: name.to_owned(), found }),
        Resolved::Indexes(oids) => {
            let found = query(client, Some(oids)).await?;
            if found.is_empty() {
                let found = "an index of another method".to_owned();
                return Err(CatalogError::NotAVectorIndex { name: name.to_owned(), found });
            }
            Ok(found)
        }
    }
}

/// The definition as it is now; None where the index is gone (or is no vector index).
pub async fn index_definition(client: &Client, oid: u32) -> Result<Option<IndexDefinition>, CatalogError> {
    Ok(query(client, Some(vec![oid])).await?.pop())
}

async fn query(client: &Client, oids: Option<Vec<u32>>) -> Result<Vec<IndexDefinition>, CatalogError> {
    let mut found = Vec::new();
    for row in client.query(INDEXES, &[&oids]).await? {
        if let Some(definition) = definition(&row)? {
            found.push(definition);
        }
    }
    Ok(found)
}

/// None where the index was dropped while the catalog was read.
fn definition(row: &Row) -> Result<Option<IndexDefinition>, tokio_postgres::Error> {
    let method: String = row.try_get(6)?;
    let (Some(expression), Some(definition)) =
        (row.try_get::<_, Option<String>>(9)?, row.try_get::<_, Option<String>>(12)?)
    else {
        return Ok(None);
    };
    Ok(Some(IndexDefinition {
        name: IndexName {
            oid: row.try_get(0)?,
            schema: row.try_get(1)?,
            name: row.try_get(2)?,
            table_oid: row.try_get(3)?,
            table_schema: row.try_get(4)?,
            table: row.try_get(5)?,
            method: if method == "hnsw" { AccessMethod::Hnsw } else { AccessMethod::Ivfflat },
        },
        opclass: row.try_get(7)?,
        vector_type: row.try_get(8)?,
        expression,
        operator: row.try_get::<_, Option<String>>(21)?.unwrap_or_default(),
        column: row.try_get(10)?,
        predicate: row.try_get(11)?,
        definition,
        reloptions: reloptions(row.try_get::<_, Option<Vec<String>>>(13)?.unwrap_or_default()),
        size_bytes: row.try_get::<_, Option<i64>>(14)?.unwrap_or(0).unsigned_abs(),
        is_valid: row.try_get(15)?,
        is_ready: row.try_get(16)?,
        is_live: row.try_get(17)?,
        is_partition: row.try_get(18)?,
        persistence: row.try_get::<_, String>(19)?.chars().next().unwrap_or('p'),
        owner: row.try_get(20)?,
        being_built: row.try_get(22)?,
    }))
}

fn reloptions(options: Vec<String>) -> Vec<(String, String)> {
    options
        .into_iter()
        .map(|option| match option.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (option, String::new()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &[&str], expected: &[(&str, &str)]) {
        let found = reloptions(input.iter().map(|s| s.to_string()).collect());
        let expected: Vec<_> = expected.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn reloptions_are_split_at_the_first_equals_sign() {
        check(&[], &[]);
        check(&["m=16", "ef_construction=64"], &[("m", "16"), ("ef_construction", "64")]);
        check(&["odd=a=b"], &[("odd", "a=b")]);
    }
}
