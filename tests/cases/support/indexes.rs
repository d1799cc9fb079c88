use anyhow::Result;

use super::world::World;

/// A vector index of a table, as the catalog knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    /// Valid, ready and live.
    pub usable: bool,
    /// Without the options that a repair may change.
    pub definition: String,
    /// The journal keeps it for a rollback.
    pub kept: bool,
    pub file: u32,
}

/// Every vector index of a table, by name.
pub async fn indexes_of(world: &World, table: &str) -> Result<Vec<Found>> {
    let journaled: bool =
        world.client.query_one("SELECT to_regclass('pgheal.kept_indexes') IS NOT NULL", &[]).await?.get(0);
    let kept = if journaled {
        "EXISTS (SELECT FROM pgheal.kept_indexes AS k WHERE k.index_oid = c.oid AND k.gone_at IS NULL)"
    } else {
        "false"
    };
    let sql = format!(
        "SELECT c.relname, i.indisvalid AND i.indisready AND i.indislive, \
                regexp_replace(pg_get_indexdef(c.oid), '\\s*WITH \\([^)]*\\)', ''), {kept}, c.relfilenode \
         FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS a ON a.oid = c.relam \
         WHERE i.indrelid = $1::text::regclass AND a.amname IN ('hnsw', 'ivfflat') ORDER BY c.relname"
    );
    let rows = world.client.query(&sql, &[&table]).await?;
    Ok(rows
        .iter()
        .map(|row| Found {
            name: row.get(0),
            usable: row.get(1),
            definition: row.get(2),
            kept: row.get(3),
            file: row.get(4),
        })
        .collect())
}

/// That `before` is still there under its name and definition, valid, and nothing beside it but at most one index that
/// the journal keeps.
#[track_caller]
pub fn one_is_left(found: &[Found], before: &Found) {
    let (kept, own): (Vec<&Found>, Vec<&Found>) = found.iter().partition(|index| index.kept);
    assert_eq!(own.len(), 1, "leftovers: {found:#?}");
    assert!(own[0].usable, "{found:#?}");
    assert_eq!((&own[0].name, &own[0].definition), (&before.name, &before.definition));
    assert!(kept.len() <= 1, "{found:#?}");
}
