use std::ops::Deref;

use crate::components::HostError;
use crate::postgres::{Backend, Connector, Session, apply_settings};

use super::error::{connect_error, database_error};

/// A session that changes something, and the identity of its backend for the journal.
pub struct ActionSession {
    session: Session,
    pub backend: Backend,
}

/// Settings of every session that changes something. No statement timeout and no lock timeout: a timed-out
/// CREATE or DROP INDEX CONCURRENTLY leaves an invalid index; the deadlines are the host's own, by cancelling.
/// A backend whose client was killed notices it within seconds.
const SETTINGS: [(&str, &str); 9] = [
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("transaction_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("client_connection_check_interval", "2s"),
    ("default_transaction_read_only", "off"),
    ("row_security", "off"),
    ("TimeZone", "UTC"),
];

impl ActionSession {
    pub async fn open(connector: &Connector, purpose: &str) -> Result<Self, HostError> {
        let session = connector.connect(purpose).await.map_err(connect_error)?;
        apply_settings(&session, &SETTINGS).await.map_err(|e| database_error(&e))?;
        let row = session
            .query_one("SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()", &[])
            .await
            .map_err(|e| database_error(&e))?;
        Ok(ActionSession { backend: Backend { pid: row.get(0), started_at: row.get(1) }, session })
    }

    pub async fn set(&self, settings: &[(&str, &str)]) -> Result<(), HostError> {
        apply_settings(&self.session, settings).await.map_err(|e| database_error(&e))
    }

    pub async fn run(&self, sql: &str) -> Result<(), HostError> {
        self.session.batch_execute(sql).await.map_err(|e| database_error(&e))
    }

    pub fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

impl Deref for ActionSession {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

/// Opens a plain session with our search path, for looking things up.
pub(super) async fn look_up_session(connector: &Connector) -> Result<Session, HostError> {
    let session = connector.connect("lookup").await.map_err(connect_error)?;
    apply_settings(&session, &[("statement_timeout", "60s")]).await.map_err(|e| database_error(&e))?;
    Ok(session)
}
