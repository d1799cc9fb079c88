//! The journal in schema `pgheal`: what was repaired, every step with its undo (written before the step), the
//! metrics, the repairs that somebody asked for, and the old indexes that wait for the end of their rollback window.

mod kept;
mod metrics;
mod repairs;
mod requests;
mod schema;
mod step;
mod steps;

use std::time::Duration;

use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use super::locks::Leadership;
use super::{ConnectError, Connector, Session, apply_settings, describe_error};

pub use kept::KeptIndex;
pub use repairs::{Attempt, NewRepair, TableName};
pub use requests::NewRequest;
pub use step::{Action, Backend, Step, StepRecord, StepState, Undo};

/// How long the journal waits for a server that restarts.
const RECONNECT_ATTEMPTS: u32 = 20;
const RECONNECT_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the journal cannot be read or written: {}", describe_error(.0).1)]
    Database(#[from] tokio_postgres::Error),
    #[error(
        "schema pgheal belongs to {0}: it is trusted only as this user's own or a superuser's; connect as {0}, or change its owner"
    )]
    ForeignSchema(String),
    #[error("schema pgheal is of version {found}, this pgheal knows {known}: it was written by a newer pgheal")]
    NewerSchema { found: i32, known: i32 },
    #[error("a record of the journal cannot be read: {0}")]
    Record(#[from] serde_json::Error),
    #[error("{0}")]
    Missing(String),
}

/// One session that reads and writes schema `pgheal`; it reconnects when it is lost.
pub struct Journal {
    connector: Connector,
    session: Mutex<Option<Session>>,
    leadership: Leadership,
}

impl Journal {
    /// Connects, and creates or migrates schema `pgheal`. Safe when two start at once.
    pub async fn open(connector: &Connector) -> Result<Self, JournalError> {
        let journal = Self::unopened(connector);
        let mut session = connect(connector).await?;
        schema::migrate(session.client_mut()).await?;
        *journal.session.lock().await = Some(session);
        Ok(journal)
    }

    /// Connects without changing anything; None where this database has no journal.
    pub async fn open_existing(connector: &Connector) -> Result<Option<Self>, JournalError> {
        let journal = Self::unopened(connector);
        let session = connect(connector).await?;
        if !schema::exists(&session).await? {
            return Ok(None);
        }
        *journal.session.lock().await = Some(session);
        Ok(Some(journal))
    }

    fn unopened(connector: &Connector) -> Self {
        Journal { connector: connector.clone(), session: Mutex::new(None), leadership: Leadership::new(connector) }
    }

    /// Tries to become the one pgheal that repairs this database. Also asked anew before every step: a lost
    /// session is taken back where nobody else took the lead meanwhile.
    pub async fn acquire_leadership(&self) -> Result<bool, JournalError> {
        self.leadership.acquire().await
    }

    pub fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// The open session, connected anew where it was lost (a server that restarts gets some seconds).
    async fn session(&self) -> Result<MappedMutexGuard<'_, Session>, JournalError> {
        let mut slot = self.session.lock().await;
        if slot.as_ref().is_none_or(|session| session.is_closed()) {
            let mut attempt = 0;
            *slot = loop {
                match connect(&self.connector).await {
                    Ok(session) => break Some(session),
                    Err(error @ JournalError::Connect(ConnectError::GivenUp { .. })) => return Err(error),
                    Err(error) if attempt >= RECONNECT_ATTEMPTS => return Err(error),
                    Err(_) => attempt += 1,
                }
                tokio::time::sleep(RECONNECT_PAUSE).await;
            };
        }
        MutexGuard::try_map(slot, Option::as_mut)
            .map_err(|_| JournalError::Missing("the journal's session was lost".to_owned()))
    }
}

async fn connect(connector: &Connector) -> Result<Session, JournalError> {
    let session = connector.connect("journal").await?;
    // What the journal says was written must survive a crash of the server, whatever the database's default.
    apply_settings(
        &session,
        &[
            ("synchronous_commit", "on"),
            ("default_transaction_read_only", "off"),
            ("statement_timeout", "30s"),
            ("lock_timeout", "10s"),
            ("idle_session_timeout", "0"),
            ("TimeZone", "UTC"),
        ],
    )
    .await?;
    Ok(session)
}
