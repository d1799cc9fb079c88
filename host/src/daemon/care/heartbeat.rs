use std::time::{Duration, SystemTime};

use super::Care;
use crate::daemon::settings::trace_of_stored_settings;
use crate::postgres::{Connector, Session, apply_settings};

/// Others read in `pg_stat_activity` when the heart beat last.
const PAUSE: Duration = Duration::from_secs(1);
/// Every so many beats it is looked whether a stored setting was changed.
const BEATS_PER_LOOK: u32 = 5;
/// A trivial question that is not answered for so long is told as what it is.
const SILENT_AFTER: Duration = Duration::from_secs(5);
/// Then everything that waits for this server is given up: what a repair had begun is resolved from the journal. Long
/// enough for a server that is only overloaded.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(60);

impl Care {
    /// Asks the server every second. Returns when it does not answer any more, with the reason.
    pub(super) async fn heartbeat(&self, connector: &Connector) -> anyhow::Error {
        loop {
            let session = match connector.connect("heartbeat").await {
                Ok(session) => session,
                Err(error) => return anyhow::Error::new(error).context("no heartbeat"),
            };
            // A session that was ended by itself is no server that is gone: another one tells.
            match self.beats_of(&session).await {
                Beat::Lost(error) => tracing::warn!(target_name = self.target.name, "the heartbeat was lost: {error}"),
                Beat::Silent => {
                    return anyhow::anyhow!("the server does not answer for {} s", GIVEN_UP_AFTER.as_secs());
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn beats_of(&self, session: &Session) -> Beat {
        if let Err(error) = apply_settings(session, &[("idle_session_timeout", "0")]).await {
            return Beat::Lost(error);
        }
        let mut trace: Option<String> = None;
        for beat in 0_u32.. {
            match self.answered_in_time(session.simple_query("SELECT 1")).await {
                Ok(_) => {}
                Err(end) => return end,
            }
            if beat % BEATS_PER_LOOK == 0 {
                let now = match self.answered_in_time(trace_of_stored_settings(session)).await {
                    Ok(now) => now,
                    Err(end) => return end,
                };
                // The first look of a session tells nothing of what was changed between the last reading and itself.
                if trace.as_ref() != Some(&now) {
                    self.changed_in_the_database();
                }
                trace = Some(now);
            }
            tokio::time::sleep(PAUSE).await;
        }
        Beat::Silent
    }

    /// Waits for an answer, and tells when it takes long.
    async fn answered_in_time<T>(
        &self,
        question: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Beat> {
        let mut question = std::pin::pin!(question);
        if let Ok(answer) = tokio::time::timeout(SILENT_AFTER, &mut question).await {
            return answer.map_err(Beat::Lost);
        }
        let since = SystemTime::now();
        let reason = format!("the server does not answer for more than {} s", SILENT_AFTER.as_secs());
        tracing::warn!(target_name = self.target.name, "{reason}");
        let _silence = Silence::begin(self, reason, since);
        match tokio::time::timeout(GIVEN_UP_AFTER - SILENT_AFTER, question).await {
            Ok(answer) => answer.map_err(Beat::Lost),
            Err(_) => Err(Beat::Silent),
        }
    }
}

/// How a session's beats end.
enum Beat {
    Lost(tokio_postgres::Error),
    Silent,
}

/// The server counts as silent while this lives.
struct Silence<'a>(&'a Care);

impl<'a> Silence<'a> {
    fn begin(care: &'a Care, reason: String, since: SystemTime) -> Self {
        care.state().silent = Some((reason, since));
        Silence(care)
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        self.0.state().silent = None;
    }
}
