//! What is counted of a version while it serves.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::components::{CallError, Policies};

/// Strikes that are older do not count any more.
const STRIKES_WITHIN: Duration = Duration::from_secs(24 * 3_600);

/// One version of a policy. It counts from the moment it serves: the calls that tried it out before do not matter.
pub(in crate::components) struct Version {
    digest: String,
    calls: AtomicU64,
    failed: Mutex<Failed>,
    quarantined: AtomicBool,
    service: OnceLock<Service>,
}

#[derive(Default)]
struct Failed {
    /// By outcome.
    counts: BTreeMap<&'static str, u64>,
    /// The last strikes, the oldest first.
    strikes: Vec<Instant>,
}

struct Service {
    policies: Weak<Policies>,
    name: String,
    max_strikes: u32,
}

impl Version {
    pub(in crate::components) fn new(digest: &str) -> Self {
        Version {
            digest: digest.to_owned(),
            calls: AtomicU64::new(0),
            failed: Mutex::new(Failed::default()),
            quarantined: AtomicBool::new(false),
            service: OnceLock::new(),
        }
    }

    /// From now on it serves under this name.
    pub(super) fn enter_service(&self, policies: &Weak<Policies>, name: &str, max_strikes: u32) {
        self.service.get_or_init(|| Service { policies: policies.clone(), name: name.to_owned(), max_strikes });
    }

    /// A call has ended.
    pub(in crate::components) fn settled<R>(&self, outcome: &Result<R, CallError>) {
        if self.service.get().is_some() {
            self.calls.fetch_add(1, Relaxed);
        }
        if let Err(error) = outcome {
            self.failed(error);
        }
    }

    /// A call that had ended well gave an answer that cannot be used.
    pub(in crate::components) fn refused(&self, error: CallError) -> CallError {
        self.failed(&error);
        error
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// By outcome.
    pub(super) fn failed_calls(&self) -> BTreeMap<String, u64> {
        self.lock().counts.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect()
    }

    pub(super) fn strikes(&self) -> u32 {
        let recent = |at: &&Instant| at.elapsed() < STRIKES_WITHIN;
        self.lock().strikes.iter().filter(recent).count() as u32
    }

    pub(super) fn is_quarantined(&self) -> bool {
        self.quarantined.load(Relaxed)
    }

    fn failed(&self, error: &CallError) {
        let Some(service) = self.service.get() else { return };
        let strikes = {
            let mut failed = self.lock();
            *failed.counts.entry(error.outcome()).or_default() += 1;
            if !error.is_the_policys() {
                return;
            }
            failed.strikes.retain(|at| at.elapsed() < STRIKES_WITHIN);
            // More than decide are of no use.
            if failed.strikes.len() < 1_000 {
                failed.strikes.push(Instant::now());
            }
            failed.strikes.len() as u32
        };
        if service.max_strikes == 0 || strikes < service.max_strikes || self.quarantined.swap(true, Relaxed) {
            return;
        }
        if let Some(policies) = service.policies.upgrade() {
            policies.quarantine(&service.name, &self.digest, format!("{strikes} strikes, the last one: {error}"));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Failed> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_count_once_it_serves() {
        let version = Version::new("d");
        let trap = || CallError::Trap { message: String::new(), backtrace: Vec::new() };
        version.settled::<()>(&Err(trap()));
        assert_eq!((version.strikes(), version.calls()), (0, 0));
        version.enter_service(&Weak::new(), "p", 3);
        version.settled(&Ok(()));
        version.settled::<()>(&Err(trap()));
        version.settled::<()>(&Err(CallError::Sandbox(String::new())));
        let error = version.refused(CallError::InvalidResult("x".to_owned()));
        assert_eq!(error, CallError::InvalidResult("x".to_owned()));
        assert_eq!(version.strikes(), 2);
        assert!(!version.is_quarantined());
        let expected = [("invalid result", 1), ("sandbox", 1), ("trap", 1)].map(|(o, n)| (o.to_owned(), n));
        assert_eq!(version.failed_calls(), BTreeMap::from(expected));
        version.settled::<()>(&Err(trap()));
        assert!(version.is_quarantined());
    }
}
