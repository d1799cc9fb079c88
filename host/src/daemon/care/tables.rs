use std::collections::BTreeSet;

use tokio_postgres::{Client, Error};

use crate::daemon::api::Refusal;
use crate::model::readable_name;
use crate::postgres::TableName;

/// Tables with vector indexes, each under its own name and those of the partitioned tables that it belongs to.
const TABLES: &str = "
SELECT DISTINCT named.leaf, n.nspname::text, c.relname::text, pg_catalog.pg_table_is_visible(c.oid)
FROM (SELECT x.indrelid FROM pg_catalog.pg_index AS x
        JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
        JOIN pg_catalog.pg_am AS m ON m.oid = i.relam
        WHERE m.amname IN ('hnsw', 'ivfflat') AND i.relkind = 'i') AS indexed
    CROSS JOIN LATERAL (
        SELECT indexed.indrelid AS leaf, indexed.indrelid AS oid
        UNION
        SELECT indexed.indrelid, a.relid::oid FROM pg_catalog.pg_partition_ancestors(indexed.indrelid) AS a) AS named
    JOIN pg_catalog.pg_class AS c ON c.oid = named.oid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace";

/// Which table a name means, without a question to the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tables(Vec<Named>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    /// The table that has the index: itself, or a partition of it.
    leaf_oid: u32,
    schema: String,
    name: String,
    /// Within the search path of the daemon's role.
    visible: bool,
}

/// What a person wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub schema: Option<String>,
    pub name: String,
}

impl Tables {
    /// Takes no locks.
    ///
    /// # Errors
    /// Of the connection.
    pub async fn read(client: &Client) -> Result<Tables, Error> {
        let mut tables = Vec::new();
        for row in client.query(TABLES, &[]).await? {
            tables.push(Named {
                leaf_oid: row.try_get(0)?,
                schema: row.try_get(1)?,
                name: row.try_get(2)?,
                visible: row.try_get(3)?,
            });
        }
        Ok(Tables(tables))
    }

    /// The tables with vector indexes that the name means: one, or the partitions of one.
    ///
    /// # Errors
    /// Where there is none, or several in different schemas.
    pub fn resolve(&self, text: &str) -> Result<BTreeSet<u32>, Refusal> {
        let unknown = || Refusal::UnknownTable(text.to_owned());
        let found = match Wanted::parse(text) {
            Some(wanted) => self.of_name(&wanted),
            None => Vec::new(),
        };
        // A name that SQL would want quoted.
        let found = if found.is_empty() { self.of_text(text) } else { found };
        let visible: Vec<&Named> = found.iter().copied().filter(|table| table.visible).collect();
        let found = if visible.is_empty() { found } else { visible };
        let schemas: BTreeSet<&str> = found.iter().map(|table| table.schema.as_str()).collect();
        if schemas.len() > 1 {
            let names: Vec<String> = schemas.iter().map(|schema| readable_name(schema, &found[0].name)).collect();
            return Err(Refusal::InvalidValue(format!("{text} can mean {}; name its schema, too", names.join(" or "))));
        }
        if found.is_empty() {
            return Err(unknown());
        }
        Ok(found.iter().map(|table| table.leaf_oid).collect())
    }

    /// By the names that its partitions bear in the history, too.
    pub fn names_of(&self, leaves: &BTreeSet<u32>) -> Vec<TableName> {
        self.0
            .iter()
            .filter(|table| leaves.contains(&table.leaf_oid))
            .map(|table| TableName { schema: Some(table.schema.clone()), name: table.name.clone() })
            .collect()
    }

    fn of_name(&self, wanted: &Wanted) -> Vec<&Named> {
        self.0
            .iter()
            .filter(|table| {
                table.name == wanted.name && wanted.schema.as_ref().is_none_or(|schema| *schema == table.schema)
            })
            .collect()
    }

    fn of_text(&self, text: &str) -> Vec<&Named> {
        self.0.iter().filter(|table| table.name == text || format!("{}.{}", table.schema, table.name) == text).collect()
    }
}

impl Wanted {
    /// `name` or `schema.name` in SQL's syntax: folded to lower case where it is not quoted.
    pub fn parse(text: &str) -> Option<Wanted> {
        let (first, rest) = identifier(text.trim())?;
        if rest.is_empty() {
            return Some(Wanted { schema: None, name: first });
        }
        let (second, rest) = identifier(rest.strip_prefix('.')?.trim_start())?;
        rest.is_empty().then_some(Wanted { schema: Some(first), name: second })
    }
}

/// The first identifier, and what follows it.
fn identifier(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut name = String::new();
        let mut rest = quoted;
        loop {
            let end = rest.find('"')?;
            name.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('"') {
                Some(more) => {
                    name.push('"');
                    rest = more;
                }
                None => break,
            }
        }
        return (!name.is_empty()).then(|| (name, rest.trim_start()));
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let begins_well = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    // PostgreSQL folds ASCII only, in databases of UTF-8.
    begins_well.then(|| (name.to_ascii_lowercase(), rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(leaf_oid: u32, schema: &str, name: &str, visible: bool) -> Named {
        Named { leaf_oid, schema: schema.to_owned(), name: name.to_owned(), visible }
    }

    fn check(text: &str, expected: Result<&[u32], &str>) {
        let tables = Tables(vec![
            named(1, "public", "docs", true),
            named(2, "old", "docs", false),
            named(3, "a", "twice", false),
            named(4, "b", "twice", false),
            named(5, "We\"ird", "My Table", false),
            named(6, "public", "part_1", true),
            named(6, "public", "parted", true),
            named(7, "public", "part_2", true),
            named(7, "public", "parted", true),
        ]);
        match (tables.resolve(text), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected.iter().copied().collect(), "{text}"),
            (Err(refusal), Err(part)) => assert!(refusal.to_string().contains(part), "{refusal} lacks {part}"),
            (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn names_are_found_as_sql_would() {
        check("docs", Ok(&[1]));
        check("DOCS", Ok(&[1]));
        check("old.docs", Ok(&[2]));
        check(" \"old\" . docs ", Ok(&[2]));
        check("\"We\"\"ird\".\"My Table\"", Ok(&[5]));
        check("My Table", Ok(&[5]));
        check("We\"ird.My Table", Ok(&[5]));
        check("parted", Ok(&[6, 7]));
        check("part_2", Ok(&[7]));
        check("twice", Err("a.twice or b.twice"));
        check("b.twice", Ok(&[4]));
    }

    #[test]
    fn what_means_no_table_is_refused() {
        for text in ["", "\"DOCS\"", "docs; DROP TABLE docs", "docs'", "\"docs", "a.b.docs", ".docs", "docs.", "\"\""] {
            check(text, Err("there is no table"));
        }
    }
}
