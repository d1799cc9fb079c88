use tokio::sync::Mutex;

use super::journal::JournalError;
use super::{Connector, Session, apply_settings};

/// The first key of every advisory lock of pgheal ("pghl"); advisory locks are per database.
pub(super) const LOCK_CLASS: i32 = 0x7067_686c;
const LEADER: i32 = 1;
pub(super) const MIGRATION: i32 = 2;

/// Only one pgheal at a time repairs a database: it holds a session advisory lock. The lock ends with its
/// session, so a killed leader never blocks the next one.
pub struct Leadership {
    connector: Connector,
    session: Mutex<Option<Session>>,
}

impl Leadership {
    pub fn new(connector: &Connector) -> Self {
        Leadership { connector: connector.clone(), session: Mutex::new(None) }
    }

    /// Tries to become the leader, or confirms that this one still is. False: another pgheal leads, or the
    /// server is in recovery (a standby cannot be repaired).
    pub async fn acquire(&self) -> Result<bool, JournalError> {
        let mut slot = self.session.lock().await;
        if let Some(session) = slot.as_ref()
            && holds(session).await
        {
            return Ok(true);
        }
        *slot = None;
        let session = self.connector.connect("leader").await?;
        apply_settings(
            &session,
            &[("idle_session_timeout", "0"), ("statement_timeout", "0"), ("tcp_keepalives_idle", "60")],
        )
        .await?;
        if session.query_one("SELECT pg_is_in_recovery()", &[]).await?.get(0) {
            return Ok(false);
        }
        let acquired: bool =
            session.query_one("SELECT pg_try_advisory_lock($1, $2)", &[&LOCK_CLASS, &LEADER]).await?.get(0);
        if acquired {
            *slot = Some(session);
        }
        Ok(acquired)
    }

    /// Whether this process leads now. Asked before every step; a lost session is a lost leadership.
    pub async fn is_held(&self) -> bool {
        match self.session.lock().await.as_ref() {
            Some(session) => holds(session).await,
            None => false,
        }
    }

    /// Lets another pgheal lead.
    pub async fn release(&self) {
        *self.session.lock().await = None;
    }
}

/// A session lock lives as long as its session, so an answer is the proof; a promoted or demoted server counts.
async fn holds(session: &Session) -> bool {
    match session.query_one("SELECT NOT pg_is_in_recovery()", &[]).await {
        Ok(row) => row.get(0),
        Err(_) => false,
    }
}
