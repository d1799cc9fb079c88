use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio_postgres::Client;

use super::Care;
use super::tables::Tables;
use crate::daemon::api::{IndexView, Refusal};
use crate::heal::{indexes_under_care, observe};
use crate::model::{IndexDefinition, Silent};
use crate::postgres::{CatalogError, Connector, Journal, apply_settings, server_facts};

/// Whether somebody holds, or waits for, a lock that reading would wait for.
const LOCKED: &str = "
SELECT EXISTS (SELECT FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
        AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
        AND l.relation IN ($1, $2))";

impl Care {
    /// See `Engine::health_check`. A measurement that takes longer goes on: asked again, its result is there.
    ///
    /// # Errors
    /// An unknown table; nothing is known of it, and nothing could be found out in time.
    pub async fn health_check(&self, table: &str, wait: Duration) -> Result<Vec<IndexView>, Refusal> {
        let known = self.tables().resolve(table);
        if let Err(ambiguous @ Refusal::InvalidValue(_)) = &known {
            return Err(ambiguous.clone());
        }
        let connector = self.connector();
        let fresh = match (&connector, self.me.upgrade()) {
            (Ok(connector), Some(care)) => {
                let (connector, table) = (connector.clone(), table.to_owned());
                let look = tokio::spawn(async move { care.look_at(&connector, &table).await });
                tokio::time::timeout(wait, look).await
            }
            _ => Ok(Ok(Ok(()))),
        };
        let tables = self.tables();
        let leaves = match tables.resolve(table) {
            Ok(leaves) => leaves,
            // Nothing was ever read of this database: perhaps the table is there.
            Err(refusal @ Refusal::UnknownTable(_)) if tables != Tables::default() => return Err(refusal),
            Err(refusal @ Refusal::UnknownTable(_)) => return Err(connector.err().unwrap_or(refusal)),
            Err(refusal) => return Err(refusal),
        };
        let views = self.seen().indexes_of(&leaves);
        if !views.is_empty() {
            return Ok(views);
        }
        connector?;
        let reason = match fresh {
            Err(_) => format!("its measurement takes longer than {} ms and goes on; ask again", wait.as_millis()),
            Ok(Err(error)) => format!("its measurement ended: {error}"),
            Ok(Ok(Err(error))) => format!("{error:#}"),
            Ok(Ok(Ok(()))) => "it was not measured yet; ask again".to_owned(),
        };
        Err(Refusal::Unavailable(format!("nothing is known of {table} yet: {reason}")))
    }

    /// Measures the indexes of a table, in the background.
    pub(super) fn look_again(&self, table_oid: u32) {
        let (Some(care), Ok(connector)) = (self.me.upgrade(), self.connector()) else { return };
        tokio::spawn(async move {
            let Ok(_alone) = Arc::clone(&care.measuring).acquire_owned().await else { return };
            if let Err(error) = care.measure_tables(&connector, &BTreeSet::from([table_oid])).await {
                tracing::debug!(target_name = care.target.name, "after a repair: {error:#}");
            }
        });
    }

    /// One at a time: whoever comes meanwhile gets what was measured last.
    async fn look_at(&self, connector: &Connector, table: &str) -> anyhow::Result<()> {
        let Ok(_alone) = Arc::clone(&self.measuring).try_acquire_owned() else {
            anyhow::bail!("another measurement is being made; ask again");
        };
        self.read_tables(connector).await?;
        let Ok(leaves) = self.tables().resolve(table) else { return Ok(()) };
        self.measure_tables(connector, &leaves).await
    }

    /// Which tables there are now.
    pub(super) async fn read_tables(&self, connector: &Connector) -> anyhow::Result<()> {
        let session = connector.connect("tables").await?;
        session.batch_execute("SET statement_timeout = '10s'").await?;
        let tables = Tables::read(&session).await?;
        *self.tables.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = tables;
        Ok(())
    }

    /// What is locked, or worked on by a repair, is left as it was seen last.
    async fn measure_tables(&self, connector: &Connector, tables: &BTreeSet<u32>) -> anyhow::Result<()> {
        let session = connector.connect("check").await?;
        let facts = server_facts(&session).await?;
        let journal = Journal::open_existing(connector).await.context("the journal")?;
        let definitions = match indexes_under_care(&session, journal.as_ref(), None).await {
            Ok((definitions, _)) => definitions,
            Err(error) => match error.downcast_ref::<CatalogError>() {
                Some(CatalogError::NoVectorIndex { .. }) => Vec::new(),
                _ => return Err(error),
            },
        };
        drop(journal);
        self.seen().listed(&definitions);
        apply_settings(&session, &[("statement_timeout", "10s")]).await?;
        for definition in definitions.into_iter().filter(|d| tables.contains(&d.name.table_oid)) {
            if self.is_worked_on(definition.name.table_oid) || is_locked(&session, &definition).await? {
                continue;
            }
            let config = self.config();
            let looked_at = definition.clone();
            match observe(connector, &facts, definition, &config, &Silent).await {
                Ok(findings) => self.seen().measured(&findings, &config),
                Err(error) => self.seen().failed(&looked_at, &format!("{:#}", anyhow::Error::new(error)), &config),
            }
        }
        Ok(())
    }

    fn is_worked_on(&self, table_oid: u32) -> bool {
        let state = self.state();
        let repairs = state.repairer.as_ref().map(|repairer| repairer.repairs().running()).unwrap_or_default();
        repairs.iter().any(|repair| repair.index.table_oid == table_oid)
    }
}

async fn is_locked(session: &Client, index: &IndexDefinition) -> Result<bool, tokio_postgres::Error> {
    session.query_one(LOCKED, &[&index.name.oid, &index.name.table_oid]).await?.try_get(0)
}
