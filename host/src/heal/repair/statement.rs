use tokio_postgres::Client;

use crate::components::{BuildOptions, HostError};
use crate::model::quote_identifier;
use crate::postgres::quote_literal;

use super::error::{database_error, gone};

/// Everything that CREATE INDEX needs to make the same index again, and what the statement does not carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexParts {
    pub schema: String,
    /// Qualified and quoted.
    pub table: String,
    pub method: String,
    /// The column or expression as PostgreSQL deparses it, with its parentheses.
    pub key: String,
    /// Qualified and quoted.
    pub opclass: String,
    pub reloptions: Vec<(String, String)>,
    pub tablespace: Option<String>,
    pub predicate: Option<String>,
    pub comment: Option<String>,
    /// Statistics target of the indexed expression, where one was set.
    pub statistics_target: Option<i32>,
    /// Extensions that the index was made to depend on.
    pub extensions: Vec<String>,
    pub is_expression: bool,
}

const PARTS: &str = "
SELECT n.nspname::text, format('%I.%I', tn.nspname, t.relname), m.amname::text, pg_get_indexdef(c.oid, 1, false),
    format('%I.%I', os.nspname, o.opcname), coalesce(c.reloptions, '{}'), s.spcname::text,
    pg_get_expr(x.indpred, x.indrelid), obj_description(c.oid, 'pg_class'), a.attstattarget::int,
    ARRAY(SELECT e.extname::text FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
           WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'x'
             AND d.refclassid = 'pg_extension'::regclass ORDER BY 1),
    x.indexprs IS NOT NULL
FROM pg_class AS c
    JOIN pg_index AS x ON x.indexrelid = c.oid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_class AS t ON t.oid = x.indrelid
    JOIN pg_namespace AS tn ON tn.oid = t.relnamespace
    JOIN pg_am AS m ON m.oid = c.relam
    JOIN pg_opclass AS o ON o.oid = x.indclass[0]
    JOIN pg_namespace AS os ON os.oid = o.opcnamespace
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = 1
    LEFT JOIN pg_tablespace AS s ON s.oid = c.reltablespace
WHERE c.oid = $1";

impl IndexParts {
    /// Reads the parts from the catalog. The session's search path must be `pg_catalog`, so that every name in
    /// the key and the predicate is deparsed qualified.
    pub async fn read(client: &Client, oid: u32) -> Result<Self, HostError> {
        let row = client.query_opt(PARTS, &[&oid]).await.map_err(|e| database_error(&e))?.ok_or_else(gone)?;
        let reloptions: Vec<String> = row.get(5);
        // -1 was "not set" before PostgreSQL 17, NULL is since.
        let target: Option<i32> = row.get(9);
        Ok(IndexParts {
            schema: row.get(0),
            table: row.get(1),
            method: row.get(2),
            key: row.get(3),
            opclass: row.get(4),
            reloptions: reloptions
                .iter()
                .map(|option| match option.split_once('=') {
                    Some((name, value)) => (name.to_owned(), value.to_owned()),
                    None => (option.clone(), "true".to_owned()),
                })
                .collect(),
            tablespace: row.get(6),
            predicate: row.get(7),
            comment: row.get(8),
            statistics_target: target.filter(|target| *target >= 0),
            extensions: row.get(10),
            is_expression: row.get(11),
        })
    }

    /// The parts with other build options.
    pub fn with_options(mut self, options: BuildOptions) -> Self {
        for (name, value) in [("m", options.m), ("ef_construction", options.ef_construction), ("lists", options.lists)]
        {
            let Some(value) = value else { continue };
            match self.reloptions.iter_mut().find(|(existing, _)| existing == name) {
                Some((_, existing)) => *existing = value.to_string(),
                None => self.reloptions.push((name.to_owned(), value.to_string())),
            }
        }
        self
    }

    /// CREATE INDEX CONCURRENTLY under another name.
    pub fn create_statement(&self, name: &str) -> String {
        let mut sql = format!(
            "CREATE INDEX CONCURRENTLY {} ON {} USING {} ({} {})",
            quote_identifier(name),
            self.table,
            quote_identifier(&self.method),
            self.key,
            self.opclass,
        );
        if !self.reloptions.is_empty() {
            let options: Vec<String> = self
                .reloptions
                .iter()
                .map(|(name, value)| format!("{} = {}", quote_identifier(name), quote_literal(value)))
                .collect();
            sql.push_str(&format!(" WITH ({})", options.join(", ")));
        }
        if let Some(tablespace) = &self.tablespace {
            sql.push_str(&format!(" TABLESPACE {}", quote_identifier(tablespace)));
        }
        if let Some(predicate) = &self.predicate {
            sql.push_str(&format!(" WHERE {predicate}"));
        }
        sql
    }

    /// What else must be done to the index of this name, so that it differs from the old one in nothing.
    pub fn finishing_statements(&self, name: &str) -> Vec<String> {
        let index = format!("{}.{}", quote_identifier(&self.schema), quote_identifier(name));
        let mut statements = Vec::new();
        if let Some(comment) = &self.comment {
            statements.push(format!("COMMENT ON INDEX {index} IS {}", quote_literal(comment)));
        }
        if let Some(target) = self.statistics_target {
            statements.push(format!("ALTER INDEX {index} ALTER COLUMN 1 SET STATISTICS {target}"));
        }
        for extension in &self.extensions {
            statements.push(format!("ALTER INDEX {index} DEPENDS ON EXTENSION {}", quote_identifier(extension)));
        }
        statements
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> IndexParts {
        IndexParts {
            schema: "my app".to_owned(),
            table: "\"my app\".docs".to_owned(),
            method: "hnsw".to_owned(),
            key: "((v)::public.halfvec(384))".to_owned(),
            opclass: "public.halfvec_cosine_ops".to_owned(),
            reloptions: vec![("m".to_owned(), "8".to_owned())],
            tablespace: None,
            predicate: Some("(lang = 'en'::text)".to_owned()),
            comment: Some("it's".to_owned()),
            statistics_target: Some(500),
            extensions: Vec::new(),
            is_expression: true,
        }
    }

    fn check(parts: IndexParts, name: &str, expected: &str) {
        assert_eq!(parts.create_statement(name), expected);
    }

    #[test]
    fn the_statement_makes_the_same_index() {
        check(
            parts(),
            "a \"b\"",
            "CREATE INDEX CONCURRENTLY \"a \"\"b\"\"\" ON \"my app\".docs USING \"hnsw\" (((v)::public.halfvec(384)) public.halfvec_cosine_ops) WITH (\"m\" = '8') WHERE (lang = 'en'::text)",
        );
    }

    #[test]
    fn options_are_merged() {
        let options = BuildOptions { m: Some(32), ef_construction: Some(128), lists: None };
        let merged = parts().with_options(options).reloptions;
        assert_eq!(merged, [("m".to_owned(), "32".to_owned()), ("ef_construction".to_owned(), "128".to_owned())]);
        assert_eq!(parts().with_options(BuildOptions::default()), parts());
    }

    #[test]
    fn what_the_statement_does_not_carry_follows() {
        assert_eq!(
            parts().finishing_statements("n"),
            [
                "COMMENT ON INDEX \"my app\".\"n\" IS 'it''s'",
                "ALTER INDEX \"my app\".\"n\" ALTER COLUMN 1 SET STATISTICS 500",
            ]
        );
    }
}
