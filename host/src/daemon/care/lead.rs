use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use tokio::time::Instant;

use super::Care;
use super::seen::Eyes;
use crate::daemon::api::{CycleView, TargetState};
use crate::daemon::settings::stored_settings;
use crate::heal::{CycleResult, Healer};
use crate::model::Silent;
use crate::postgres::{Connector, Journal};

/// After a cycle that failed as a whole.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// How often it is looked whether the lead is still held; this asks the server nothing.
const LEAD_LOOK: Duration = Duration::from_secs(1);

impl Care {
    /// Resolves what is open in the journal, then cycles until this is dropped. Returns only where it cannot begin.
    pub(super) async fn lead(&self, connector: &Connector, journal: &Arc<Journal>) -> anyhow::Error {
        let begun = Healer::lead(
            connector.clone(),
            Arc::clone(journal),
            self.config(),
            Arc::clone(&self.policies),
            Arc::new(Silent),
            Arc::new(Eyes(self.me.clone())),
        );
        let mut healer = match begun.await {
            Ok(healer) => healer,
            Err(error) => return error,
        };
        self.state().repairer = Some(healer.repairer());
        self.enter(TargetState::Leading);
        loop {
            if let Err(error) = self.survey(connector).await {
                tracing::warn!(target_name = self.target.name, "settings and tables were not read: {error:#}");
            }
            let config = self.config();
            let heals = config.healing.auto_heal_enabled;
            healer.set_config(config);
            let failed = match healer.run_check_cycle(None).await {
                Ok(cycle) => {
                    self.tell(&cycle);
                    self.enter(TargetState::Leading);
                    false
                }
                Err(error) => {
                    self.enter(TargetState::Failed { reason: format!("the cycle failed: {error:#}") });
                    true
                }
            };
            self.until_next_cycle(failed, heals).await;
        }
    }

    /// Returns when the lead is lost for good, with the reason. A session that was only cut off is taken back.
    pub(super) async fn until_lead_is_lost(&self, journal: &Journal) -> anyhow::Error {
        loop {
            tokio::time::sleep(LEAD_LOOK).await;
            if !journal.leadership().is_lost().await {
                continue;
            }
            match journal.acquire_leadership().await {
                Ok(true) => tracing::warn!(target_name = self.target.name, "the lead was lost, and taken back"),
                Ok(false) => return anyhow::anyhow!("the lead was lost to another pgheal"),
                Err(error) => return anyhow::Error::new(error).context("the lead was lost"),
            }
        }
    }

    /// What the database says of settings, and which tables there are.
    async fn survey(&self, connector: &Connector) -> anyhow::Result<()> {
        let session = connector.connect("settings").await?;
        let stored = stored_settings(&session).await.context("stored settings")?;
        drop(session);
        self.state().stored = stored;
        self.read_tables(connector).await
    }

    fn tell(&self, cycle: &CycleResult) {
        tracing::info!(
            target_name = self.target.name,
            issues = cycle.detected_issues.len(),
            started = cycle.repairs_initiated,
            completed = cycle.repairs_completed.len(),
            active = cycle.active_repairs,
            took_ms = cycle.duration.as_millis() as u64,
            "cycle"
        );
        for (index, reason) in &cycle.failed_checks {
            tracing::warn!(target_name = self.target.name, index, "not measured: {reason}");
        }
        self.state().last_cycle = Some(CycleView {
            ended_at: SystemTime::now(),
            duration: cycle.duration,
            detected_issues: cycle.detected_issues.len(),
            repairs_initiated: cycle.repairs_initiated,
            failed_checks: cycle.failed_checks.clone(),
        });
    }

    /// The interval may change meanwhile; and where healing is switched on, nobody wants to wait for it.
    async fn until_next_cycle(&self, failed: bool, healed: bool) {
        let ended = Instant::now();
        loop {
            let reread = self.reread.swap(false, Ordering::Relaxed);
            if reread {
                let connector = self.connector();
                if let Ok(connector) = connector
                    && let Err(error) = self.survey(&connector).await
                {
                    tracing::warn!(target_name = self.target.name, "settings were not read: {error:#}");
                }
            }
            let config = self.config();
            if config.healing.auto_heal_enabled && !healed {
                return;
            }
            let interval = Duration::from_millis(config.healing.check_interval_ms);
            let pause = if failed { interval.min(RETRY_PAUSE) } else { interval };
            tokio::select! {
                () = tokio::time::sleep_until(ended + pause) => return,
                () = self.changed.notified() => {}
            }
        }
    }

    /// Somebody changed a stored setting.
    pub(super) fn changed_in_the_database(&self) {
        self.reread.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }
}
