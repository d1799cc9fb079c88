use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::api::{
    Caller, EffectiveSetting, Engine, IndexView, IssueView, Refusal, RepairTicket, SessionSettings, TargetState,
    TargetView,
};
use super::care::{Care, Stop};
use super::options::DaemonOptions;
use super::settings::Layers;
use crate::components::{Policies, PoliciesStatus};
use crate::config::{Config, Target};
use crate::model::RepairRecord;

/// Over a care's own deadlines: what does not end by then is left.
const STOP_DEADLINE: Duration = Duration::from_secs(45);

/// Every database of the configuration under care, each in a task of its own.
pub struct Daemon {
    options: DaemonOptions,
    policies: Arc<Policies>,
    config: RwLock<Arc<Config>>,
    wards: RwLock<Vec<Ward>>,
    /// Of targets that a new configuration does not have any more.
    leaving: Mutex<Vec<Ward>>,
}

struct Ward {
    care: Arc<Care>,
    stop: watch::Sender<Stop>,
    /// None once somebody waits for its end.
    task: Option<JoinHandle<()>>,
}

impl Daemon {
    /// Begins to look after every target of the configuration. None is waited for.
    ///
    /// # Errors
    /// What is wrong with the targets, in words.
    pub fn start(config: Config, options: DaemonOptions, policies: Arc<Policies>) -> Result<Arc<Daemon>, String> {
        let targets = config.targets(options.default_url.as_deref())?;
        let config = Arc::new(config);
        let wards =
            targets.into_iter().map(|target| Ward::begin(target, &policies, &config, &options.process)).collect();
        Ok(Arc::new(Daemon {
            options,
            policies,
            config: RwLock::new(config),
            wards: RwLock::new(wards),
            leaving: Mutex::default(),
        }))
    }

    /// The configuration that holds.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the configuration again, and goes on with it (`take`).
    ///
    /// # Errors
    /// What is wrong with it; then the old one stays as a whole.
    pub fn reload(&self) -> anyhow::Result<()> {
        self.take(Config::load(&self.options.config_path)?)
    }

    /// Goes on with this configuration. Targets that are as they were go on undisturbed.
    ///
    /// # Errors
    /// Where its targets are not valid; then the old one stays as a whole.
    pub fn take(&self, config: Config) -> anyhow::Result<()> {
        let config = Arc::new(config);
        let targets = config.targets(self.options.default_url.as_deref()).map_err(anyhow::Error::msg)?;
        for section in config.changed_for_next_start(&self.config()) {
            tracing::warn!("[{section}] has changed; that takes effect with the next start");
        }
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&config);
        let mut wards = self.wards.write().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *wards);
        for target in targets {
            let kept = before.iter().position(|ward| ward.care.target.is_same(&target));
            let ward = match kept {
                Some(place) => {
                    let ward = before.swap_remove(place);
                    ward.care.set_config(Arc::clone(&config));
                    ward
                }
                None => Ward::begin(target, &self.policies, &config, &self.options.process),
            };
            wards.push(ward);
        }
        for ward in &before {
            tracing::info!(target_name = ward.care.target.name, "no longer under care");
            ward.stop.send_replace(Stop::Gracefully);
        }
        let mut leaving = self.leaving();
        leaving.retain(|ward| ward.task.as_ref().is_some_and(|task| !task.is_finished()));
        leaving.extend(before);
        Ok(())
    }

    fn leaving(&self) -> MutexGuard<'_, Vec<Ward>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops: begins nothing any more, and lets running repairs come to their end, within a deadline. What has not
    /// ended by then, or when `hurry` is, is left to the journal.
    pub async fn stop(&self, hurry: impl Future<Output = ()>) {
        let tasks = {
            let mut wards = self.wards.write().unwrap_or_else(PoisonError::into_inner);
            let mut leaving = self.leaving();
            wards.iter_mut().chain(leaving.iter_mut()).filter_map(|ward| ward.task.take()).collect::<Vec<_>>()
        };
        self.tell(Stop::Gracefully);
        let mut ended = std::pin::pin!(async {
            for task in tasks {
                if let Err(error) = task.await {
                    tracing::error!("the care of a target ended badly: {error}");
                }
            }
        });
        let stopped = tokio::time::timeout(STOP_DEADLINE, async {
            tokio::select! {
                () = &mut ended => return,
                () = hurry => {}
            }
            self.tell(Stop::AtOnce);
            ended.await;
        });
        if stopped.await.is_err() {
            tracing::warn!("not everything has ended; the journal resolves what is open");
        }
    }

    fn tell(&self, stop: Stop) {
        for ward in self.wards.read().unwrap_or_else(PoisonError::into_inner).iter().chain(self.leaving().iter()) {
            ward.stop.send_replace(stop);
        }
    }

    /// In a sentence, for the service manager.
    pub fn in_words(&self) -> String {
        let targets = self.targets();
        let count = |wanted: &str| targets.iter().filter(|target| target.state.name() == wanted).count();
        let repairs: usize = targets.iter().map(|target| target.active_repairs.len()).sum();
        let mut words = format!("{} of {} databases led", count("leading"), targets.len());
        for (state, is) in [("standby", "stood by"), ("connecting", "being connected to"), ("failed", "failed")] {
            if count(state) > 0 {
                words.push_str(&format!(", {} {is}", count(state)));
            }
        }
        let failed = targets.iter().find_map(|target| match &target.state {
            TargetState::Failed { reason } => Some(format!(" ({}: {reason})", target.name)),
            _ => None,
        });
        words.push_str(&failed.unwrap_or_default());
        if repairs > 0 {
            words.push_str(&format!("; {repairs} repairs run"));
        }
        words
    }

    fn care(&self, target: &str) -> Result<Arc<Care>, Refusal> {
        let wards = self.wards.read().unwrap_or_else(PoisonError::into_inner);
        let found = wards.iter().find(|ward| ward.care.target.name == target);
        found.map(|ward| Arc::clone(&ward.care)).ok_or_else(|| Refusal::UnknownTarget(target.to_owned()))
    }
}

impl Ward {
    fn begin(target: Target, policies: &Arc<Policies>, config: &Arc<Config>, process: &Layers) -> Ward {
        tracing::info!(target_name = target.name, server = target.connector.server(), "under care");
        let care = Care::new(target, Arc::clone(policies), Arc::clone(config), process.clone());
        let stop = watch::Sender::new(Stop::GoOn);
        let task = tokio::spawn(Arc::clone(&care).supervise(stop.subscribe()));
        Ward { care, stop, task: Some(task) }
    }
}

#[async_trait]
impl Engine for Daemon {
    fn targets(&self) -> Vec<Arc<TargetView>> {
        self.wards.read().unwrap_or_else(PoisonError::into_inner).iter().map(|ward| ward.care.view()).collect()
    }

    fn policies(&self) -> PoliciesStatus {
        self.policies.status()
    }

    fn settings(&self, target: &str, session: &SessionSettings) -> Result<Vec<EffectiveSetting>, Refusal> {
        self.care(target)?.settings(session)
    }

    async fn set(&self, target: &str, name: &str, value: Option<&str>, caller: &Caller) -> Result<(), Refusal> {
        self.care(target)?.set(name, value, caller)
    }

    async fn health_check(&self, target: &str, table: &str, wait: Duration) -> Result<Vec<IndexView>, Refusal> {
        self.care(target)?.health_check(table, wait).await
    }

    async fn detected_issues(&self, target: &str, table: Option<&str>) -> Result<Vec<IssueView>, Refusal> {
        self.care(target)?.detected_issues(table)
    }

    async fn repair(
        &self,
        target: &str,
        table: &str,
        issue_id: &str,
        caller: &Caller,
    ) -> Result<RepairTicket, Refusal> {
        self.care(target)?.repair(table, issue_id, caller).await
    }

    async fn history(&self, target: &str, table: Option<&str>, days: u32) -> Result<Vec<RepairRecord>, Refusal> {
        self.care(target)?.history(table, days).await
    }
}
