use sqlparser::ast::{Query, SetExpr, Statement};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

/// Longer texts are refused unread.
const MAX_BYTES: usize = 1 << 17;

/// Whether a policy may run this text: one statement that reads or, where `may_write`, changes rows. Transaction
/// control, SET, PREPARE, LISTEN, COPY, DO, CALL and all DDL are refused. PostgreSQL's own parser is asked as well
/// (`EXPLAIN` takes no other statements), so that a text which the two read differently does not pass.
pub fn check(sql: &str, may_write: bool) -> Result<(), String> {
    if sql.len() > MAX_BYTES {
        return Err(format!("a statement of more than {MAX_BYTES} bytes is refused"));
    }
    let statements = Parser::parse_sql(&PostgreSqlDialect {}, sql)
        .map_err(|error| format!("the statement cannot be checked, so it is refused: {error}"))?;
    let [statement] = statements.as_slice() else {
        return Err(format!("one statement a call; this text has {}", statements.len()));
    };
    match kind(statement) {
        Kind::Reads => Ok(()),
        Kind::Writes if may_write => Ok(()),
        Kind::Writes => Err("this policy's SQL may only read".to_owned()),
        Kind::Refused => {
            let text = statement.to_string();
            let verb = text.split_whitespace().next().unwrap_or_default().to_uppercase();
            Err(format!("statements of this kind are refused: {verb}"))
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Reads,
    Writes,
    Refused,
}

fn kind(statement: &Statement) -> Kind {
    match statement {
        Statement::Query(query) => query_kind(query),
        Statement::Insert(insert) => insert.source.as_deref().map_or(Kind::Writes, query_kind).max(Kind::Writes),
        Statement::Update(_) | Statement::Delete(_) => Kind::Writes,
        _ => Kind::Refused,
    }
}

fn query_kind(query: &Query) -> Kind {
    let body = body_kind(&query.body);
    let tables = query.with.iter().flat_map(|with| &with.cte_tables).map(|table| query_kind(&table.query));
    let locks = if query.locks.is_empty() { Kind::Reads } else { Kind::Writes };
    tables.fold(body.max(locks), Kind::max)
}

fn body_kind(body: &SetExpr) -> Kind {
    match body {
        // SELECT INTO makes a table.
        SetExpr::Select(select) if select.into.is_some() => Kind::Refused,
        SetExpr::Select(_) | SetExpr::Values(_) | SetExpr::Table(_) => Kind::Reads,
        SetExpr::Query(query) => query_kind(query),
        SetExpr::SetOperation { left, right, .. } => body_kind(left).max(body_kind(right)),
        SetExpr::Insert(statement) | SetExpr::Update(statement) | SetExpr::Delete(statement) => kind(statement),
        SetExpr::Merge(_) => Kind::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_kind(sql: &str, reading: bool, writing: bool) {
        assert_eq!(check(sql, false).is_ok(), reading, "reading: {sql}: {:?}", check(sql, false));
        assert_eq!(check(sql, true).is_ok(), writing, "writing: {sql}: {:?}", check(sql, true));
    }

    #[test]
    fn rows_may_be_read() {
        for sql in [
            "SELECT 1",
            "select * from t where v <=> $1 < 0.2 order by v <=> $1 limit 5;",
            "SELECT 1 UNION ALL SELECT 2",
            "WITH x AS (SELECT 1) SELECT * FROM x",
            "VALUES (1), (2)",
            "/* SET x */ SELECT 1",
        ] {
            check_kind(sql, true, true);
        }
    }

    #[test]
    fn rows_may_be_written_where_that_is_allowed() {
        for sql in [
            "INSERT INTO t VALUES (1)",
            "INSERT INTO t (a) VALUES ($1) ON CONFLICT DO NOTHING RETURNING a",
            "UPDATE t SET a = 1 WHERE b = $1",
            "DELETE FROM t",
            "WITH x AS (DELETE FROM t RETURNING a) SELECT * FROM x",
            "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
            "SELECT * FROM t FOR UPDATE",
        ] {
            check_kind(sql, false, true);
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for sql in [
            "",
            "SELECT 1; SELECT 2",
            "SET TRANSACTION READ WRITE",
            "SET ROLE postgres",
            "RESET ALL",
            "BEGIN",
            "COMMIT",
            "ROLLBACK",
            "SAVEPOINT a",
            "PREPARE p AS SELECT 1",
            "EXECUTE p",
            "DEALLOCATE p",
            "LISTEN a",
            "NOTIFY a",
            "COPY t TO PROGRAM 'id'",
            "COPY t TO STDOUT",
            "DO $$ BEGIN END $$",
            "CALL p()",
            "CREATE TABLE t (a int)",
            "CREATE TABLE t AS SELECT 1",
            "SELECT 1 INTO t",
            "DROP TABLE t",
            "ALTER TABLE t ADD a int",
            "TRUNCATE t",
            "LOCK TABLE t",
            "VACUUM",
            "EXPLAIN SELECT 1",
            "EXPLAIN ANALYZE DELETE FROM t",
            "DECLARE c CURSOR FOR SELECT 1",
            "GRANT ALL ON t TO PUBLIC",
            "SHOW ALL",
            "DISCARD ALL",
            "not sql",
        ] {
            check_kind(sql, false, false);
        }
    }
}
