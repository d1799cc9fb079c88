use serde_json::Value;
use std::time::{Duration, Instant};

use tokio_postgres::Statement;

use super::super::MeasureError;
use super::plan::{answering_index, describe};
use super::statement::{Statements, set_parameter};
use crate::model::{AccessMethod, IndexDefinition, Tid};
use crate::postgres::{Connector, PgTid, ServerFacts, Session};

/// What to do with other vector indexes of the table, which the planner might prefer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Others {
    /// Marks them invalid in a transaction that is rolled back (as a superuser, where there are any).
    Hide,
    /// Leaves them, and fails if one of them answers.
    Leave,
}

/// A transaction in which one index answers; nothing of it stays.
pub(in super::super) struct ScanSession {
    session: Session,
    statements: Statements,
    index: String,
    method: AccessMethod,
}

const HIDE: &str = "
UPDATE pg_catalog.pg_index x SET indisvalid = false
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_am m ON m.oid = c.relam
WHERE c.oid = x.indexrelid AND m.amname IN ('hnsw', 'ivfflat') AND x.indisvalid AND x.indrelid = $1 AND c.oid <> $2";

impl ScanSession {
    /// `snapshot`: what is to be seen, exported by another session that still holds it.
    pub(in super::super) async fn open(
        connector: &Connector,
        index: &IndexDefinition,
        facts: &ServerFacts,
        statements: Statements,
        snapshot: Option<&str>,
        others: Others,
    ) -> Result<Self, MeasureError> {
        let session = connector.connect("index scans").await?;
        let hide = others == Others::Hide && facts.is_superuser && !facts.in_recovery;
        let access = if hide { "READ WRITE" } else { "READ ONLY" };
        let mut begin = format!(
            "SET statement_timeout = 0; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = 0;
             SET row_security = off; BEGIN ISOLATION LEVEL REPEATABLE READ {access};"
        );
        if let Some(snapshot) = snapshot {
            begin += &format!("SET TRANSACTION SNAPSHOT {};", crate::postgres::quote_literal(snapshot));
        }
        begin += "SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0";
        session.batch_execute(&begin).await.map_err(MeasureError::Database)?;
        if hide {
            session.execute(HIDE, &[&index.name.table_oid, &index.name.oid]).await.map_err(MeasureError::Database)?;
        }
        let (name, method) = (index.name.name.clone(), index.name.method);
        Ok(ScanSession { session, statements, index: name, method })
    }

    /// Prepares the scan with the parameter at `value`, and proves by EXPLAIN that this index answers it.
    ///
    /// # Errors
    /// `NotAnswered`: another index, or none, answers.
    pub(in super::super) async fn prepare(
        &self,
        value: u32,
        limit: usize,
        example: &str,
    ) -> Result<Statement, MeasureError> {
        let settings = format!(
            "{}; SET LOCAL enable_indexscan = on; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off;
             SET LOCAL enable_sort = off; SET LOCAL plan_cache_mode = force_generic_plan",
            set_parameter(self.method, value)
        );
        self.session.batch_execute(&settings).await.map_err(MeasureError::Database)?;
        let sql = self.statements.scan(limit);
        let explain = format!("EXPLAIN (FORMAT JSON, COSTS OFF) {sql}");
        let row = self.session.query_one(&explain, &[&example]).await.map_err(MeasureError::Database)?;
        let plan: Value = row.try_get(0).map_err(MeasureError::Database)?;
        match answering_index(&plan) {
            Some(name) if name == self.index => {}
            Some(other) => {
                return Err(MeasureError::NotAnswered(format!(
                    "the planner answers with the index {other}, which only a superuser can hide for the measurement"
                )));
            }
            None => {
                return Err(MeasureError::NotAnswered(format!(
                    "the planner answers without the index ({})",
                    describe(&plan)
                )));
            }
        }
        self.session.prepare(&sql).await.map_err(MeasureError::Database)
    }

    /// One scan: the rows in order, and how long it took, with the way to the server and back.
    pub(in super::super) async fn scan(
        &self,
        statement: &Statement,
        vector: &str,
    ) -> Result<(Vec<Tid>, Duration), MeasureError> {
        let started = Instant::now();
        let rows = self.session.query(statement, &[&vector]).await.map_err(MeasureError::Database)?;
        let took = started.elapsed();
        let tids = rows.iter().map(|row| row.try_get::<_, PgTid>(0).map(|tid| tid.0));
        Ok((tids.collect::<Result<_, _>>().map_err(MeasureError::Database)?, took))
    }

    /// For exact scans: no index may answer.
    pub(in super::super) async fn without_indexes(&self) -> Result<(), MeasureError> {
        self.session
            .batch_execute(
                "SET LOCAL enable_seqscan = on; SET LOCAL enable_sort = on; SET LOCAL enable_indexscan = off;
                 SET LOCAL enable_bitmapscan = off; SET LOCAL enable_indexonlyscan = off",
            )
            .await
            .map_err(MeasureError::Database)
    }

    pub(in super::super) fn session(&self) -> &Session {
        &self.session
    }

    pub(in super::super) fn statements(&self) -> &Statements {
        &self.statements
    }

    /// Rolls everything back.
    pub(in super::super) async fn close(self) -> Result<(), MeasureError> {
        self.session.batch_execute("ROLLBACK").await.map_err(MeasureError::Database)
    }
}
