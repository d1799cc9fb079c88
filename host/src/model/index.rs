use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessMethod {
    Hnsw,
    Ivfflat,
}

impl AccessMethod {
    /// The setting that trades recall for cost at query time.
    pub fn parameter(self) -> &'static str {
        match self {
            AccessMethod::Hnsw => "hnsw.ef_search",
            AccessMethod::Ivfflat => "ivfflat.probes",
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            AccessMethod::Hnsw => "hnsw",
            AccessMethod::Ivfflat => "ivfflat",
        }
    }
}

impl fmt::Display for AccessMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which index, by OID and by unquoted names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IndexName {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub table_oid: u32,
    pub table_schema: String,
    pub table: String,
    pub method: AccessMethod,
}

impl IndexName {
    /// Quoted and qualified, ready for SQL.
    pub fn qualified(&self) -> String {
        format!("{}.{}", quote_identifier(&self.schema), quote_identifier(&self.name))
    }

    pub fn qualified_table(&self) -> String {
        format!("{}.{}", quote_identifier(&self.table_schema), quote_identifier(&self.table))
    }
}

/// For people: quoted only where it has to be.
impl fmt::Display for IndexName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&readable_name(&self.schema, &self.name))
    }
}

/// `schema.name` for people: quoted only where it has to be.
pub fn readable_name(schema: &str, name: &str) -> String {
    let readable = |name: &str| {
        let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if plain { name.to_owned() } else { quote_identifier(name) }
    };
    format!("{}.{}", readable(schema), readable(name))
}

/// What the catalog says of a vector index.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexDefinition {
    pub name: IndexName,
    /// The opclass's name, for example `vector_cosine_ops`.
    pub opclass: String,
    /// The type of the indexed value: vector, halfvec, bit or sparsevec.
    pub vector_type: String,
    /// The indexed column or expression, as SQL over the table's columns.
    pub expression: String,
    /// The ordering operator of the opclass, for example `<=>`.
    pub operator: String,
    /// The indexed column's name, where it is a plain column.
    pub column: Option<String>,
    /// The predicate of a partial index, as SQL.
    pub predicate: Option<String>,
    /// `pg_get_indexdef`.
    pub definition: String,
    pub reloptions: Vec<(String, String)>,
    pub size_bytes: u64,
    pub is_valid: bool,
    pub is_ready: bool,
    pub is_live: bool,
    /// The leaf of a partitioned index.
    pub is_partition: bool,
    /// `p` permanent, `u` unlogged, `t` temporary.
    pub persistence: char,
    pub owner: String,
    /// A backend builds or rebuilds it now (`pg_stat_progress_create_index`).
    pub being_built: bool,
}

/// A heap row's or an index tuple's place: block and offset (from 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tid {
    pub block: u32,
    pub offset: u16,
}

impl fmt::Display for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", self.block, self.offset)
    }
}

/// Quotes an identifier for SQL, always (a quoted name never means something else).
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
