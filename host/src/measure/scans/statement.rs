use crate::model::{AccessMethod, IndexDefinition, quote_identifier};
use crate::pgvector::VectorType;
use crate::postgres::ServerFacts;

use super::super::queries::sql_type;

/// The SQL that queries one index, or its table without any index. `$1` is a query vector as text.
#[derive(Clone, Debug)]
pub(in super::super) struct Statements {
    table: String,
    expression: String,
    distance: String,
    condition: Option<String>,
}

impl Statements {
    pub(in super::super) fn new(index: &IndexDefinition, vector_type: VectorType, facts: &ServerFacts) -> Self {
        let distance = format!(
            "{} OPERATOR({}.{}) $1::text::{}",
            index.expression,
            quote_identifier(&facts.vector_schema),
            index.operator,
            sql_type(vector_type, facts)
        );
        Statements {
            table: index.name.qualified_table(),
            expression: index.expression.clone(),
            distance,
            condition: index.predicate.clone(),
        }
    }

    /// Rows in the order in which the index returns them.
    pub(in super::super) fn scan(&self, limit: usize) -> String {
        let condition = self.condition.as_ref().map_or(String::new(), |c| format!(" WHERE {c}"));
        format!("SELECT ctid FROM ONLY {}{condition} ORDER BY {} LIMIT {limit}", self.table, self.distance)
    }

    /// The nearest rows with their distance, ascending; a row without a distance (NULL or NaN) is in no index.
    pub(in super::super) fn exact(&self, limit: usize) -> String {
        format!(
            "SELECT ctid, distance FROM (SELECT ctid, {} AS distance FROM ONLY {} WHERE {}) AS rows
             WHERE distance <> 'NaN'::float8 ORDER BY distance LIMIT {limit}",
            self.distance,
            self.table,
            self.indexed()
        )
    }

    /// About `count` rows that the index holds, as (ctid, value as text), when the table has about `rows` rows.
    pub(in super::super) fn sample(&self, count: usize, rows: f64, seed: u64) -> String {
        // Twice the share wanted, since the estimate may be stale; sampling whole pages is only for tables whose
        // every row would take long to visit.
        let percent = if rows > 0.0 { (200.0 * count as f64 / rows).clamp(0.0001, 100.0) } else { 100.0 };
        let method = if rows > 1e6 { "SYSTEM" } else { "BERNOULLI" };
        format!(
            "SELECT ctid, ({})::text FROM ONLY {} TABLESAMPLE {method} ({percent}) REPEATABLE ({}) WHERE {}
             ORDER BY pg_catalog.hashtextextended(ctid::text, {}) LIMIT {count}",
            self.expression,
            self.table,
            seed % 1_000_000_007,
            self.indexed(),
            seed as i64,
        )
    }

    fn indexed(&self) -> String {
        let condition = self.condition.as_ref().map_or(String::new(), |c| format!(" AND ({c})"));
        format!("({}) IS NOT NULL{condition}", self.expression)
    }
}

/// The setting that a scan session changes for itself.
pub(super) fn set_parameter(method: AccessMethod, value: u32) -> String {
    format!("SET LOCAL {} = {value}", method.parameter())
}
