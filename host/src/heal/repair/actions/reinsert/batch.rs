use std::collections::HashMap;

use futures_util::future::try_join_all;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, Statement, Transaction};

use crate::components::HostError;
use crate::heal::repair::error::database_error;
use crate::heal::repair::session::ActionSession;
use crate::model::{IndexDefinition, Tid, quote_identifier};
use crate::postgres::{PgTid, SendFormat};

use super::column::BaseColumn;

/// What a row's indexed column holds between its two updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// Not indexed at all.
    Null,
    /// Another row's value: it joins that row's element, so the graph does not change by it. Being a value of this
    /// table, it passes the column's checks.
    OtherRow,
}

pub enum BatchOutcome {
    /// The new places of the rows that were re-inserted.
    Done(Vec<Tid>),
    /// The column refused NULL; nothing was changed.
    NullRefused,
    /// A lock was not free in time; nothing was changed.
    Contended,
}

/// The statements of a re-insertion transaction.
pub struct Batch {
    lock: Statement,
    read: Statement,
    clear: Statement,
    write: Statement,
    other_values: Statement,
    rows_estimated: f64,
}

struct Row {
    place: Tid,
    value: SendFormat,
    times: u32,
}

impl Batch {
    pub async fn prepare(client: &Client, index: &IndexDefinition, column: &BaseColumn) -> Result<Self, HostError> {
        let table = index.name.qualified_table();
        let column = quote_identifier(&column.name);
        Ok(Batch {
            // NO KEY: rows that reference these may be inserted meanwhile. Rows that are locked are left alone.
            lock: prepare(
                client,
                format!(
                    "SELECT ctid, {column} FROM ONLY {table} WHERE ctid = ANY ($1) AND {column} IS NOT NULL
                    FOR NO KEY UPDATE SKIP LOCKED"
                ),
            )
            .await?,
            read: prepare(client, format!("SELECT ctid, {column} FROM ONLY {table} WHERE ctid = ANY ($1)")).await?,
            clear: prepare(client, format!("UPDATE ONLY {table} SET {column} = NULL WHERE ctid = $1 RETURNING ctid"))
                .await?,
            write: prepare(client, format!("UPDATE ONLY {table} SET {column} = $2 WHERE ctid = $1 RETURNING ctid"))
                .await?,
            other_values: prepare(
                client,
                format!(
                    "SELECT {column} FROM ONLY {table} TABLESAMPLE SYSTEM ($1) WHERE {column} IS NOT NULL LIMIT $2"
                ),
            )
            .await?,
            rows_estimated: client
                .query_one(
                    "SELECT greatest(reltuples, 1)::float8 FROM pg_class WHERE oid = $1",
                    &[&index.name.table_oid],
                )
                .await
                .map_err(|e| database_error(&e))?
                .get(0),
        })
    }

    /// Re-inserts the rows at these places, each so many times, in one transaction.
    pub async fn run(
        &self,
        session: &mut ActionSession,
        places: &[(Tid, u32)],
        replacement: Replacement,
        silence_triggers: bool,
    ) -> Result<BatchOutcome, HostError> {
        let transaction = session.session_mut().client_mut().transaction().await.map_err(|e| database_error(&e))?;
        let result = self.work(&transaction, places, replacement, silence_triggers).await;
        let fault = match result {
            Ok(moved) => match transaction.commit().await {
                Ok(()) => return Ok(BatchOutcome::Done(moved)),
                Err(error) => Fault::Database(error),
            },
            Err(fault) => {
                // A failed rollback means a lost session: the transaction is gone with it.
                let _ = transaction.rollback().await;
                fault
            }
        };
        match fault {
            Fault::Changed(what) => Err(HostError::Unknown(what)),
            Fault::Database(error) => match error.code() {
                Some(code) if *code == SqlState::NOT_NULL_VIOLATION || *code == SqlState::CHECK_VIOLATION => {
                    if replacement == Replacement::Null {
                        Ok(BatchOutcome::NullRefused)
                    } else {
                        Err(database_error(&error))
                    }
                }
                Some(code)
                    if *code == SqlState::LOCK_NOT_AVAILABLE
                        || *code == SqlState::T_R_DEADLOCK_DETECTED
                        || *code == SqlState::T_R_SERIALIZATION_FAILURE =>
                {
                    Ok(BatchOutcome::Contended)
                }
                _ => Err(database_error(&error)),
            },
        }
    }

    async fn work(
        &self,
        transaction: &Transaction<'_>,
        places: &[(Tid, u32)],
        replacement: Replacement,
        silence_triggers: bool,
    ) -> Result<Vec<Tid>, Fault> {
        if silence_triggers {
            transaction.batch_execute("SET LOCAL session_replication_role = replica").await?;
        }
        let mut rows = self.locked(transaction, places).await?;
        let others = match replacement {
            Replacement::Null => Vec::new(),
            Replacement::OtherRow => self.other_values(transaction, rows.len()).await?,
        };
        // Where the whole sample equals the row there is nothing to put between: the row is left alone.
        let mut between: Vec<Option<SendFormat>> = Vec::with_capacity(rows.len());
        if replacement == Replacement::OtherRow {
            let mut at = 0;
            rows.retain(|row| {
                at += 1;
                let other = (0..others.len()).map(|i| &others[(at + i) % others.len()]).find(|o| **o != row.value);
                if let Some(other) = other {
                    between.push(Some(other.clone()));
                }
                other.is_some()
            });
        } else {
            between.resize(rows.len(), None);
        }
        let most = rows.iter().map(|row| row.times).max().unwrap_or(0);
        for round in 0..most {
            let now: Vec<usize> = (0..rows.len()).filter(|i| rows[*i].times > round).collect();
            self.update(transaction, &mut rows, &now, |i| between[i].clone()).await?;
            let values: Vec<SendFormat> = rows.iter().map(|row| row.value.clone()).collect();
            self.update(transaction, &mut rows, &now, |i| Some(values[i].clone())).await?;
        }
        self.verify(transaction, &rows).await?;
        Ok(rows.into_iter().map(|row| row.place).collect())
    }

    async fn locked(&self, transaction: &Transaction<'_>, places: &[(Tid, u32)]) -> Result<Vec<Row>, Fault> {
        let tids: Vec<PgTid> = places.iter().map(|(tid, _)| PgTid(*tid)).collect();
        let mut values: HashMap<Tid, SendFormat> = HashMap::with_capacity(tids.len());
        for row in transaction.query(&self.lock, &[&tids]).await? {
            values.insert(row.try_get::<_, PgTid>(0)?.0, row.try_get(1)?);
        }
        // In the order asked for: TIDs are unique, and a place given twice is taken once.
        Ok(places
            .iter()
            .filter_map(|(place, times)| Some(Row { place: *place, value: values.remove(place)?, times: *times }))
            .collect())
    }

    async fn other_values(&self, transaction: &Transaction<'_>, count: usize) -> Result<Vec<SendFormat>, Fault> {
        let limit = count.max(2);
        // Whole pages are sampled: some more rows than needed, from all over the table.
        let percent = (800.0 * limit as f64 / self.rows_estimated).clamp(0.01, 100.0);
        let mut values = Vec::new();
        for percent in [percent as f32, 100.0] {
            for row in transaction.query(&self.other_values, &[&percent, &(limit as i64)]).await? {
                values.push(row.try_get(0)?);
            }
            if values.len() >= 2 {
                break;
            }
        }
        Ok(values)
    }

    /// Updates the chosen rows one by one, in one flight of pipelined statements, and follows them to their new
    /// places.
    async fn update(
        &self,
        transaction: &Transaction<'_>,
        rows: &mut [Row],
        chosen: &[usize],
        value: impl Fn(usize) -> Option<SendFormat>,
    ) -> Result<(), Fault> {
        let updates = chosen.iter().map(|i| {
            let place = PgTid(rows[*i].place);
            let value = value(*i);
            async move {
                let found = match &value {
                    Some(value) => transaction.query(&self.write, &[&place, value]).await?,
                    None => transaction.query(&self.clear, &[&place]).await?,
                };
                match found.as_slice() {
                    [row] => Ok(row.try_get::<_, PgTid>(0)?.0),
                    _ => Err(Fault::Changed(
                        "an update of a locked row did not take place; a trigger or rule prevents it".to_owned(),
                    )),
                }
            }
        });
        for (i, place) in chosen.iter().zip(try_join_all(updates).await?) {
            rows[*i].place = place;
        }
        Ok(())
    }

    /// Before the commit every row must hold exactly the bytes that it held when it was locked.
    async fn verify(&self, transaction: &Transaction<'_>, rows: &[Row]) -> Result<(), Fault> {
        let tids: Vec<PgTid> = rows.iter().map(|row| PgTid(row.place)).collect();
        let mut values: HashMap<Tid, Option<SendFormat>> = HashMap::with_capacity(tids.len());
        for row in transaction.query(&self.read, &[&tids]).await? {
            values.insert(row.try_get::<_, PgTid>(0)?.0, row.try_get(1)?);
        }
        let same = rows.iter().all(|row| values.get(&row.place) == Some(&Some(row.value.clone())));
        if same {
            return Ok(());
        }
        Err(Fault::Changed("a re-inserted row did not get back its value (a trigger?); it was rolled back".to_owned()))
    }
}

async fn prepare(client: &Client, sql: String) -> Result<Statement, HostError> {
    client.prepare(&sql).await.map_err(|e| database_error(&e))
}

enum Fault {
    Database(Error),
    Changed(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Database(error)
    }
}
