use sha2::{Digest, Sha256};

use crate::model::{IndexName, IssueKind};

/// The issue's id: its kind and eight hex digits of a digest of database, schema and index name. It stays the same
/// while the problem does, also over a rebuild that gives the index another OID.
pub fn issue_id(kind: &IssueKind, database: &str, index: &IndexName) -> String {
    let mut digest = Sha256::new();
    for part in [database, &index.schema, &index.name] {
        // PostgreSQL's names hold no NUL, so that no two lists of names run together.
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    let digest: String = digest.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{digest}", kind.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AccessMethod;

    fn id(database: &str, schema: &str, name: &str, oid: u32, score: f64) -> String {
        let index = IndexName {
            oid,
            schema: schema.to_owned(),
            name: name.to_owned(),
            table_oid: 1,
            table_schema: schema.to_owned(),
            table: "t".to_owned(),
            method: AccessMethod::Hnsw,
        };
        issue_id(&IssueKind::PoorConnectivity { score }, database, &index)
    }

    #[test]
    fn ids_follow_names_and_not_figures() {
        let one = id("db", "public", "docs", 10, 0.5);
        assert_eq!(one, id("db", "public", "docs", 99, 0.7));
        assert!(one.starts_with("poor_connectivity-"));
        assert_eq!(one.len(), "poor_connectivity-".len() + 8);
        assert_ne!(one, id("db2", "public", "docs", 10, 0.5));
        assert_ne!(id("db", "ab", "c", 1, 0.5), id("db", "a", "bc", 1, 0.5));
    }
}
