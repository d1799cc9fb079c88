use tokio_postgres::Client;

use crate::components::HostError;
use crate::heal::repair::error::{database_error, gone};
use crate::model::IndexDefinition;

/// The table's column that an index is over: itself, or the only one in its expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseColumn {
    pub name: String,
    pub not_null: bool,
}

/// Columns that the index depends on, and what stands against writing each. A plain key is named by `indkey`; of
/// an expression (and a predicate) PostgreSQL records the columns as dependencies.
const COLUMNS: &str = "
SELECT a.attname::text, a.attnotnull OR coalesce(ty.typnotnull, false), a.attgenerated <> '',
    has_column_privilege(x.indrelid, a.attnum, 'SELECT') AND has_column_privilege(x.indrelid, a.attnum, 'UPDATE')
FROM pg_index AS x
    JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND NOT a.attisdropped
    JOIN pg_type AS ty ON ty.oid = a.atttypid
WHERE x.indexrelid = $1
    AND CASE WHEN x.indkey[0] <> 0 THEN a.attnum = x.indkey[0]
             ELSE EXISTS (SELECT FROM pg_depend AS d
                           WHERE d.classid = 'pg_class'::regclass AND d.objid = x.indexrelid
                             AND d.refclassid = 'pg_class'::regclass AND d.refobjid = x.indrelid
                             AND d.refobjsubid = a.attnum) END";

/// Which column is written to re-insert a row; the inner error says why there is none.
pub async fn base_column(client: &Client, index: &IndexDefinition) -> Result<Result<BaseColumn, String>, HostError> {
    if index.name.oid == 0 {
        return Err(gone());
    }
    let rows = client.query(COLUMNS, &[&index.name.oid]).await.map_err(|e| database_error(&e))?;
    let [row] = rows.as_slice() else {
        return Ok(Err(match rows.len() {
            0 => "the index depends on no single column of the table".to_owned(),
            n => format!("the index's expression and predicate depend on {n} columns; which one to write is not clear"),
        }));
    };
    let name: String = row.get(0);
    if row.get(2) {
        return Ok(Err(format!("the column {name} is generated: it cannot be written")));
    }
    if !row.get::<_, bool>(3) {
        return Ok(Err(format!("this role may not read and update the column {name}")));
    }
    Ok(Ok(BaseColumn { name, not_null: row.get(1) }))
}
