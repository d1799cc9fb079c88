use std::pin::pin;
use std::time::Duration;

use futures_util::TryStreamExt;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use crate::components::{HostError, SqlRows, SqlValue};
use crate::heal::repair::error::{connect_error, database_error};
use crate::heal::repair::settings::RepairSettings;
use crate::postgres::{Connector, Session};

use super::allow_list::check;
use super::values::{Parameter, field};

/// How long a cancelled statement may take to end before the session is given up.
const CANCEL_PATIENCE: Duration = Duration::from_secs(10);

/// The transaction of a policy, on a session that is logged in as the policy's own role: its privileges are what
/// a policy can do. The session is closed with the transaction, because advisory locks and prepared statements
/// survive a rollback.
pub struct Sandbox {
    session: Session,
    may_write: bool,
    wrote: bool,
    timeout: Duration,
    max_rows: usize,
    max_bytes: usize,
}

impl Sandbox {
    /// The open transaction in the slot; opens it where there is none.
    pub async fn opened<'a>(
        slot: &'a mut Option<Sandbox>,
        connector: &Connector,
        settings: &RepairSettings,
        may_write: bool,
    ) -> Result<&'a mut Sandbox, HostError> {
        if slot.as_ref().is_none_or(|sandbox| sandbox.session.is_closed()) {
            *slot = Some(Sandbox::open(connector, settings, may_write).await?);
        }
        slot.as_mut().ok_or_else(|| HostError::Unknown("the policy's session was lost".to_owned()))
    }

    async fn open(connector: &Connector, settings: &RepairSettings, may_write: bool) -> Result<Self, HostError> {
        let role = settings
            .policy_role
            .as_ref()
            .ok_or_else(|| HostError::Denied("no SQL role is configured for this policy".to_owned()))?;
        let may_write = may_write && role.may_write && !settings.dry_run;
        let session =
            connector.with_user(&role.user, role.password.as_deref()).connect("policy").await.map_err(connect_error)?;
        let begin = if may_write { "BEGIN READ WRITE" } else { "BEGIN READ ONLY" };
        session.batch_execute(begin).await.map_err(|e| database_error(&e))?;
        // After a first query PostgreSQL refuses to make the transaction READ WRITE.
        session.query("SELECT 1", &[]).await.map_err(|e| database_error(&e))?;
        Ok(Sandbox {
            session,
            may_write,
            wrote: false,
            timeout: settings.sql_timeout,
            max_rows: settings.sql_max_rows,
            max_bytes: settings.sql_max_bytes,
        })
    }

    /// What it wrote stays in the open transaction; PostgreSQL lets no transaction go back to writing.
    pub async fn only_read(&mut self) -> Result<(), HostError> {
        self.session.batch_execute("SET TRANSACTION READ ONLY").await.map_err(|e| database_error(&e))?;
        self.may_write = false;
        Ok(())
    }

    /// Whether the transaction has changed anything (or holds row locks).
    pub fn wrote(&self) -> bool {
        self.wrote
    }

    pub async fn query(&mut self, sql: &str, params: Vec<SqlValue>) -> Result<SqlRows, HostError> {
        let (statement, rows, _) = self.run(sql, params).await?;
        let columns = statement.columns();
        let rows = rows
            .iter()
            .map(|row| columns.iter().enumerate().map(|(at, column)| field(row, column, at)).collect())
            .collect::<Result<_, _>>()?;
        Ok(SqlRows { columns: columns.iter().map(|column| column.name().to_owned()).collect(), rows })
    }

    pub async fn execute(&mut self, sql: &str, params: Vec<SqlValue>) -> Result<u64, HostError> {
        Ok(self.run(sql, params).await?.2)
    }

    /// Fails where a statement has failed before: PostgreSQL would answer COMMIT with a silent rollback.
    pub async fn commit(self) -> Result<(), HostError> {
        self.session.query("SELECT 1", &[]).await.map_err(|e| database_error(&e))?;
        self.session.batch_execute("COMMIT").await.map_err(|e| database_error(&e))
    }

    /// A session that is gone has rolled back by itself.
    pub async fn rollback(self) -> Result<(), HostError> {
        if self.session.is_closed() {
            return Ok(());
        }
        self.session.batch_execute("ROLLBACK").await.map_err(|e| database_error(&e))
    }

    async fn run(&mut self, sql: &str, params: Vec<SqlValue>) -> Result<(Statement, Vec<Row>, u64), HostError> {
        check(sql, self.may_write).map_err(HostError::Denied)?;
        let canceller = self.session.canceller();
        let timeout = self.timeout;
        let result = {
            let mut work = pin!(self.run_unlimited(sql, params));
            match tokio::time::timeout(timeout, &mut work).await {
                Ok(result) => result,
                Err(_) => {
                    if let Err(error) = canceller.cancel().await {
                        tracing::warn!(%error, "the cancel request could not be sent");
                    }
                    // The statement must have ended before anything else is done in this session.
                    let ended = tokio::time::timeout(CANCEL_PATIENCE, &mut work).await;
                    Err(HostError::Limit(match ended {
                        Ok(_) => format!("the statement took longer than {} ms", timeout.as_millis()),
                        Err(_) => "the statement could not be cancelled".to_owned(),
                    }))
                }
            }
        };
        let result = result?;
        self.wrote = self.wrote || self.has_transaction_id().await?;
        Ok(result)
    }

    async fn run_unlimited(&self, sql: &str, params: Vec<SqlValue>) -> Result<(Statement, Vec<Row>, u64), HostError> {
        // PostgreSQL's own grammar: EXPLAIN takes rows-reading and rows-changing statements only. Parsed, not run.
        self.session.prepare(&format!("EXPLAIN {sql}")).await.map_err(|e| database_error(&e))?;
        let statement = self.session.prepare(sql).await.map_err(|e| database_error(&e))?;
        if statement.params().len() != params.len() {
            return Err(HostError::Denied(format!(
                "the statement has {} parameters, {} were given",
                statement.params().len(),
                params.len()
            )));
        }
        let params: Vec<Parameter> = params.into_iter().map(Parameter).collect();
        let stream = self
            .session
            .query_raw(&statement, params.iter().map(|param| param as &(dyn ToSql + Sync)))
            .await
            .map_err(|e| database_error(&e))?;
        let mut stream = pin!(stream);
        let mut rows = Vec::new();
        let mut bytes = 0_usize;
        while let Some(row) = stream.try_next().await.map_err(|e| database_error(&e))? {
            bytes = bytes.saturating_add(row.raw_size_bytes());
            if rows.len() >= self.max_rows || bytes > self.max_bytes {
                self.session.cancel().await.map_err(|e| database_error(&e))?;
                // Drained, so that the session is in step; what it says of the cancel does not matter.
                while let Ok(Some(_)) = stream.try_next().await {}
                return Err(HostError::Limit(format!(
                    "a query may give {} rows and {} bytes",
                    self.max_rows, self.max_bytes
                )));
            }
            rows.push(row);
        }
        let affected = stream.rows_affected().unwrap_or(0);
        Ok((statement, rows, affected))
    }

    async fn has_transaction_id(&self) -> Result<bool, HostError> {
        let row = self
            .session
            .query_one("SELECT pg_catalog.txid_current_if_assigned() IS NOT NULL", &[])
            .await
            .map_err(|e| database_error(&e))?;
        Ok(row.get(0))
    }
}
