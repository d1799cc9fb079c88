use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::components::HostError;
use crate::failpoint;
use crate::model::Progress;
use crate::postgres::{Connector, Session};

use super::error::{connect_error, database_error};
use super::session::ActionSession;

const POLL: Duration = Duration::from_millis(500);
/// Short statements shall show their progress, too, and reach the failpoint.
const FIRST_POLL: Duration = Duration::from_millis(20);
/// The request goes through a connection of its own, which a server that does not answer accepts and leaves.
const CANCEL_SENT_WITHIN: Duration = Duration::from_secs(10);
/// How long a cancelled statement may take to end before its backend is terminated.
const CANCEL_PATIENCE: Duration = Duration::from_secs(60);

/// What ends a long statement before it is done.
pub struct Limits {
    /// A statement that waits for locks without progress this long is cancelled.
    pub stall: Duration,
    /// True: whoever asked for the statement is gone.
    pub abandoned: watch::Receiver<bool>,
}

impl Limits {
    /// For work that nobody can abandon, such as an undo.
    pub fn unattended(stall: Duration) -> Self {
        Limits { stall, abandoned: watch::channel(false).1 }
    }
}

/// Runs a statement that may take hours, and watches it from a second session: its deadline follows its
/// progress. A statement that works is never cut off; one that only waits is cancelled after the stall limit.
/// When this returns, the statement has ended on the server.
pub async fn run_watched(
    connector: &Connector,
    session: &ActionSession,
    sql: &str,
    limits: Limits,
    progress: &dyn Progress,
    failpoint: Option<&str>,
) -> Result<(), HostError> {
    let observer = connector.connect("observer").await.map_err(connect_error)?;
    let mut abandoned = limits.abandoned;
    let mut statement = std::pin::pin!(session.batch_execute(sql));
    let mut last = Observation::default();
    let mut moved_at = Instant::now();
    let mut pause = FIRST_POLL;
    loop {
        tokio::select! {
            result = &mut statement => return result.map_err(|e| database_error(&e)),
            () = gone(&mut abandoned) => {
                let ended = stop(&observer, session, statement).await;
                return ended.and(Err(HostError::Limit("the call that asked for this was ended".to_owned())));
            }
            () = tokio::time::sleep(pause) => {}
        }
        if let Some(name) = failpoint {
            failpoint::hit(name);
        }
        pause = POLL;
        // An observer that fails must not end the work; the statement itself will report a lost server.
        let Ok(now) = observe(&observer, session.backend.pid).await else { continue };
        if now.phase != last.phase {
            progress.phase(&now.phase, now.total);
        }
        if let Some(done) = now.done {
            progress.done(done);
        }
        if !now.waits_for_lock || (&now.phase, now.done) != (&last.phase, last.done) {
            moved_at = Instant::now();
        }
        last = now;
        if moved_at.elapsed() >= limits.stall {
            let waited = limits.stall.as_secs();
            stop(&observer, session, statement).await?;
            return Err(HostError::NotNow(format!(
                "it waited {waited} s for other transactions ({}) and was cancelled",
                if last.phase.is_empty() { "a lock" } else { &last.phase }
            )));
        }
    }
}

async fn gone(abandoned: &mut watch::Receiver<bool>) {
    if abandoned.wait_for(|gone| *gone).await.is_err() {
        // Nobody can abandon it any more.
        std::future::pending::<()>().await;
    }
}

async fn stop(
    observer: &Session,
    session: &ActionSession,
    statement: std::pin::Pin<&mut impl Future<Output = Result<(), tokio_postgres::Error>>>,
) -> Result<(), HostError> {
    let mut statement = statement;
    match tokio::time::timeout(CANCEL_SENT_WITHIN, session.cancel()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, pid = session.backend.pid, "the cancel request could not be sent"),
        Err(_) => tracing::warn!(pid = session.backend.pid, "the server does not take the cancel request"),
    }
    if tokio::time::timeout(CANCEL_PATIENCE, &mut statement).await.is_ok() {
        return Ok(());
    }
    observer
        .execute("SELECT pg_terminate_backend($1)", &[&session.backend.pid])
        .await
        .map_err(|e| database_error(&e))?;
    match tokio::time::timeout(CANCEL_PATIENCE, &mut statement).await {
        Ok(_) => Ok(()),
        Err(_) => Err(HostError::Unknown(format!("backend {} does not end", session.backend.pid))),
    }
}

#[derive(Debug, Default, PartialEq)]
struct Observation {
    phase: String,
    done: Option<u64>,
    total: Option<u64>,
    waits_for_lock: bool,
}

const OBSERVE: &str = "
SELECT coalesce(c.phase, v.phase, ''),
    coalesce(nullif(c.tuples_done, 0), nullif(c.blocks_done, 0), nullif(c.lockers_done, 0), v.heap_blks_scanned + v.heap_blks_vacuumed),
    CASE WHEN c.tuples_done > 0 THEN c.tuples_total WHEN c.blocks_done > 0 THEN c.blocks_total
         WHEN c.lockers_done > 0 THEN c.lockers_total ELSE 2 * v.heap_blks_total END,
    coalesce(a.wait_event_type = 'Lock', false)
FROM pg_catalog.pg_stat_activity AS a
    LEFT JOIN pg_catalog.pg_stat_progress_create_index AS c ON c.pid = a.pid
    LEFT JOIN pg_catalog.pg_stat_progress_vacuum AS v ON v.pid = a.pid
WHERE a.pid = $1";

async fn observe(observer: &Session, pid: i32) -> Result<Observation, tokio_postgres::Error> {
    let Some(row) = observer.query_opt(OBSERVE, &[&pid]).await? else { return Ok(Observation::default()) };
    let count = |column: usize| row.get::<_, Option<i64>>(column).and_then(|n| u64::try_from(n).ok());
    Ok(Observation {
        phase: row.get(0),
        done: count(1),
        total: count(2).filter(|total| *total > 0),
        waits_for_lock: row.get(3),
    })
}
