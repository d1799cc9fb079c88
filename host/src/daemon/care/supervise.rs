use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;

use super::Care;
use crate::daemon::api::TargetState;
use crate::postgres::{Connector, Journal, Lease};

/// Before the next attempt at a database that cannot be worked with; doubled up to the most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often a standby asks whether the lead is free.
const STANDBY_PAUSE: Duration = Duration::from_secs(2);
/// Creating or migrating schema pgheal, with what it may wait for; the statements have limits of their own.
const JOURNAL_WITHIN: Duration = Duration::from_secs(45);
/// How long a stop waits for running repairs; what is still running is resolved from the journal at the next start.
const DRAIN_DEADLINE: Duration = Duration::from_secs(30);
/// How long repairs may take to end when their sessions are cut off: they have nothing left to wait for.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// What is wanted of a care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    GoOn,
    /// Begins nothing new, and waits for running repairs.
    Gracefully,
    /// Leaves running repairs to the journal.
    AtOnce,
}

impl Care {
    /// Looks after the database until it is told to stop. Whatever happens to it, another attempt follows; nothing
    /// that belongs to an attempt outlives it.
    pub async fn supervise(self: Arc<Self>, mut stop: watch::Receiver<Stop>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let lease = Lease::new();
            let connector = self.target.connector.under(&lease);
            let mut reached = false;
            let failure = tokio::select! {
                failure = self.attend(&connector, &mut reached) => Some(failure),
                () = wanted(&mut stop, Stop::Gracefully) => None,
            };
            match failure {
                Some(failure) => {
                    self.enter(TargetState::Failed { reason: format!("{failure:#}") });
                    self.end(&lease).await;
                }
                None => {
                    self.drain(&mut stop).await;
                    self.end(&lease).await;
                    return;
                }
            }
            pause = if reached { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.changed.notified() => {}
                () = wanted(&mut stop, Stop::Gracefully) => return,
            }
        }
    }

    /// One attempt: connects, waits for the lead, leads. Returns when that cannot go on, with the reason.
    async fn attend(&self, connector: &Connector, reached: &mut bool) -> anyhow::Error {
        let journal = match tokio::time::timeout(JOURNAL_WITHIN, Journal::open(connector)).await {
            Ok(Ok(journal)) => Arc::new(journal),
            Ok(Err(error)) => return anyhow::Error::new(error),
            Err(_) => return anyhow::anyhow!("the journal could not be opened within {} s", JOURNAL_WITHIN.as_secs()),
        };
        *reached = true;
        self.state().connector = Some(connector.clone());
        loop {
            match journal.acquire_leadership().await.context("asking for the lead") {
                Ok(true) => break,
                Ok(false) => self.enter(TargetState::Standby),
                Err(error) => return error,
            }
            tokio::time::sleep(STANDBY_PAUSE).await;
        }
        tokio::select! {
            failure = self.heartbeat(connector) => failure,
            failure = self.until_lead_is_lost(&journal) => failure,
            failure = self.lead(connector, &journal) => failure,
        }
    }

    /// Lets running repairs come to their end, within a time limit.
    async fn drain(&self, stop: &mut watch::Receiver<Stop>) {
        let Some(repairer) = self.state().repairer.clone() else { return };
        repairer.repairs().close();
        let running = repairer.repairs().running().len();
        if running == 0 {
            return;
        }
        tracing::info!(target_name = self.target.name, running, "waiting for running repairs");
        tokio::select! {
            () = repairer.repairs().wait() => {}
            () = tokio::time::sleep(DRAIN_DEADLINE) => {
                tracing::warn!(target_name = self.target.name, "repairs are still running; the journal resolves them");
            }
            () = wanted(stop, Stop::AtOnce) => {
                tracing::warn!(target_name = self.target.name, "running repairs are left to the journal");
            }
        }
    }

    /// Ends everything that belongs to the attempt.
    async fn end(&self, lease: &Lease) {
        let repairer = {
            let mut state = self.state();
            state.connector = None;
            state.desk = None;
            let repairer = state.repairer.take();
            if let Some(repairer) = &repairer {
                repairer.repairs().close();
                state.metrics = repairer.repairs().metrics();
            }
            repairer
        };
        lease.end();
        if let Some(repairer) = repairer
            && tokio::time::timeout(END_DEADLINE, repairer.repairs().wait()).await.is_err()
        {
            tracing::warn!(target_name = self.target.name, "a repair without a session does not end yet");
        }
    }
}

/// Returns when at least this much is wanted.
async fn wanted(stop: &mut watch::Receiver<Stop>, least: Stop) {
    // An error means that whoever could say so is gone: then it is time to stop, too.
    let _ = stop.wait_for(|stop| *stop >= least).await;
}
