//! Waiting for the daemon to take up what was put into its directory.

use std::time::{Duration, Instant};

use super::store::Store;
use super::{FailureReport, Placed, PoliciesOptions, PoliciesStatus, PolicyState};

const PAUSE: Duration = Duration::from_millis(25);

/// What became of a version that was put into the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waited {
    /// It serves, so long after it was put there.
    Active(Duration),
    /// Nobody serves the directory: it loads at the next start.
    NotServed,
    Refused(FailureReport),
    /// The daemon has not come to it. What serves, where that is known.
    TimedOut {
        serving: Option<String>,
    },
}

/// What the daemon that serves the directory told last; None where there is no daemon.
pub fn status_of_daemon(options: &PoliciesOptions) -> Option<PoliciesStatus> {
    let store = Store::open(&options.state_directory(), &options.directory).ok()??;
    let pid = store.served_by()?;
    store.status().filter(|status| status.pid == pid)
}

/// Waits until the daemon that serves the directory has the version in service, or tells why not.
pub async fn wait_until_active(options: &PoliciesOptions, placed: &Placed, timeout: Duration) -> Waited {
    let began = Instant::now();
    loop {
        let Ok(Some(store)) = Store::open(&options.state_directory(), &options.directory) else {
            return Waited::NotServed;
        };
        let Some(pid) = store.served_by() else { return Waited::NotServed };
        // What an earlier daemon left says nothing about this one.
        let status = store.status().filter(|status| status.pid == pid);
        let policy = status.as_ref().and_then(|status| status.policies.iter().find(|p| p.name == placed.name));
        if let Some(policy) = policy
            && policy.digest.as_ref() == Some(&placed.digest)
            && policy.state == PolicyState::Active
        {
            return Waited::Active(began.elapsed());
        }
        if let Some(status) = &status {
            let own = status.policies.iter().filter_map(|policy| policy.failure.as_ref());
            let is_its = |failure: &&FailureReport| {
                failure.file == placed.file
                    && failure.digest.as_ref() == Some(&placed.digest)
                    && failure.when_ms >= placed.placed_ms
            };
            if let Some(failure) = own.chain(&status.failures).find(is_its) {
                return Waited::Refused(failure.clone());
            }
        }
        if began.elapsed() >= timeout {
            return Waited::TimedOut { serving: policy.and_then(|policy| policy.digest.clone()) };
        }
        tokio::time::sleep(PAUSE).await;
    }
}
