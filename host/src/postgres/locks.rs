use std::time::Duration;

use tokio::sync::Mutex;

use super::journal::JournalError;
use super::{Connector, Session, apply_settings};

/// The first key of every advisory lock of pgheal ("pghl"); advisory locks are per database.
pub(super) const LOCK_CLASS: i32 = 0x7067_686c;
const LEADER: i32 = 1;
pub(super) const MIGRATION: i32 = 2;

/// A question that takes a server microseconds; one that does not answer it for so long is as good as lost.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Of the server's end: the lock of a leader whose machine is gone without a word is free after some 15 s.
const SETTINGS: [(&str, &str); 5] = [
    ("idle_session_timeout", "0"),
    ("statement_timeout", "0"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "3"),
    ("tcp_keepalives_count", "3"),
];

/// Only one pgheal at a time repairs a database: it holds a session advisory lock. The lock ends with its
/// session, so a killed leader never blocks the next one.
pub struct Leadership {
    connector: Connector,
    session: Mutex<Option<Holder>>,
}

/// The session that holds the lock, or waits to.
struct Holder {
    session: Session,
    holds: bool,
}

impl Leadership {
    pub fn new(connector: &Connector) -> Self {
        Leadership { connector: connector.clone(), session: Mutex::new(None) }
    }

    /// Tries to become the leader, or confirms that this one still is. False: another pgheal leads, or the
    /// server is in recovery (a standby cannot be repaired). Asked again, it tries on the same session.
    ///
    /// # Errors
    /// Where there is no session to be had, or the server does not answer.
    pub async fn acquire(&self) -> Result<bool, JournalError> {
        let mut slot = self.session.lock().await;
        if let Some(holder) = slot.as_mut() {
            match holder.acquire().await {
                Ok(leads) => return Ok(leads),
                // Its lock went with it; perhaps nobody else has taken it yet.
                Err(_) => *slot = None,
            }
        }
        let session = self.connector.connect("leader").await?;
        within(apply_settings(&session, &SETTINGS)).await?;
        let holder = slot.insert(Holder { session, holds: false });
        let leads = holder.acquire().await;
        if leads.is_err() {
            *slot = None;
        }
        leads
    }

    /// Whether this process leads now. Asked before every step; a lost session is a lost leadership.
    pub async fn is_held(&self) -> bool {
        match self.session.lock().await.as_mut() {
            Some(holder) if holder.holds => holder.acquire().await.unwrap_or(false),
            _ => false,
        }
    }

    /// Whether the session that holds the lock is gone, without a question to the server.
    pub async fn is_lost(&self) -> bool {
        self.session.lock().await.as_ref().is_none_or(|holder| !holder.holds || holder.session.is_closed())
    }

    /// Lets another pgheal lead.
    pub async fn release(&self) {
        *self.session.lock().await = None;
    }
}

impl Holder {
    /// A session lock lives as long as its session, so an answer is the proof; a promoted or demoted server counts.
    async fn acquire(&mut self) -> Result<bool, JournalError> {
        let sql = if self.holds {
            "SELECT NOT pg_is_in_recovery()".to_owned()
        } else {
            format!(
                "SELECT CASE WHEN pg_is_in_recovery() THEN false ELSE pg_try_advisory_lock({LOCK_CLASS}, {LEADER}) END"
            )
        };
        let leads: bool = within(self.session.query_one(&sql, &[])).await?.get(0);
        self.holds = leads || self.holds;
        Ok(leads)
    }
}

async fn within<T>(asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, JournalError> {
    match tokio::time::timeout(ANSWER_WITHIN, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(JournalError::Missing(format!("the server does not answer for {} s", ANSWER_WITHIN.as_secs()))),
    }
}
