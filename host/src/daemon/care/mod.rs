//! One database under care: its state, what was seen of it, and what may be asked of it.
//!
//! `supervise` keeps it going: connects, waits for the lead, starts anew after a failure. `lead` is the loop of
//! cycles. `heartbeat` notices a server that does not answer. `seen` is what the loop saw last, `tables` which names
//! mean which table; `health`, `ask` and `past` answer the outside.

mod ask;
mod health;
mod heartbeat;
mod lead;
mod past;
mod seen;
mod supervise;
mod tables;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::SystemTime;

use tokio::sync::{Notify, Semaphore};

use super::api::{
    ActiveRepair, Caller, CycleView, EffectiveSetting, Refusal, Role, SessionSettings, TargetState, TargetView,
};
use super::settings::{Layers, Setting, SettingValue, Source};
use crate::components::Policies;
use crate::config::{Config, Target};
use crate::heal::Repairer;
use crate::model::HealingMetrics;
use crate::postgres::{Connector, Journal};

use seen::Seen;
use tables::Tables;

pub(super) use supervise::Stop;

/// One database under care.
pub(super) struct Care {
    pub target: Target,
    policies: Arc<Policies>,
    me: Weak<Care>,
    /// The file's configuration, and what environment and flags say.
    base: RwLock<Base>,
    state: Mutex<State>,
    seen: Mutex<Seen>,
    tables: Mutex<Tables>,
    /// Settings or configuration have changed.
    changed: Notify,
    /// What the database has of settings is to be read again before the next cycle.
    reread: AtomicBool,
    /// One measurement beside the loop at a time.
    measuring: Arc<Semaphore>,
}

struct Base {
    config: Arc<Config>,
    process: Layers,
    /// Of the configuration and the process.
    layers: Layers,
}

struct State {
    phase: TargetState,
    since: SystemTime,
    /// Why the server counts as silent, while it does.
    silent: Option<(String, SystemTime)>,
    last_cycle: Option<CycleView>,
    /// As the database has them.
    stored: Layers,
    /// SET at the endpoint.
    endpoint: Layers,
    /// With what the present attempt at this database connects.
    connector: Option<Connector>,
    /// While this process leads.
    repairer: Option<Repairer>,
    /// For questions from outside, apart from the repairs.
    desk: Option<Arc<Journal>>,
    /// From when this process led last.
    metrics: HealingMetrics,
}

impl Care {
    pub fn new(target: Target, policies: Arc<Policies>, config: Arc<Config>, process: Layers) -> Arc<Care> {
        let layers = Layers::of_config(&config).with(&process);
        Arc::new_cyclic(|me| Care {
            target,
            policies,
            me: me.clone(),
            base: RwLock::new(Base { config, process, layers }),
            state: Mutex::new(State {
                phase: TargetState::Connecting,
                since: SystemTime::now(),
                silent: None,
                last_cycle: None,
                stored: Layers::default(),
                endpoint: Layers::default(),
                connector: None,
                repairer: None,
                desk: None,
                metrics: HealingMetrics::default(),
            }),
            seen: Mutex::default(),
            tables: Mutex::default(),
            changed: Notify::new(),
            reread: AtomicBool::new(false),
            measuring: Arc::new(Semaphore::new(1)),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tables(&self) -> Tables {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The file has another content; settings made at the endpoint stay.
    pub fn set_config(&self, config: Arc<Config>) {
        {
            let mut base = self.base.write().unwrap_or_else(PoisonError::into_inner);
            base.layers = Layers::of_config(&config).with(&base.process);
            base.config = config;
        }
        self.changed.notify_one();
    }

    /// The settings with all their sources but the session.
    fn layers(&self) -> Layers {
        let base = self.base.read().unwrap_or_else(PoisonError::into_inner).layers.clone();
        let state = self.state();
        base.with(&state.stored).with(&state.endpoint)
    }

    /// What holds now.
    fn config(&self) -> Arc<Config> {
        let layers = self.layers();
        let config = Arc::clone(&self.base.read().unwrap_or_else(PoisonError::into_inner).config);
        Arc::new(layers.apply_to(&config))
    }

    pub fn view(&self) -> Arc<TargetView> {
        let auto_heal_enabled = self.layers().effective(Setting::Enabled).0 == SettingValue::Enabled(true);
        let indexes = self.seen().indexes();
        let state = self.state();
        let (phase, since) = match &state.silent {
            Some((reason, since)) => (TargetState::Failed { reason: reason.clone() }, *since),
            None => (state.phase.clone(), state.since),
        };
        let repairs = state.repairer.as_ref().map(Repairer::repairs);
        Arc::new(TargetView {
            name: self.target.name.clone(),
            database: self.target.database.clone(),
            server: self.target.connector.server().to_owned(),
            state: phase,
            state_since: since,
            metrics: repairs.map_or(state.metrics, |repairs| repairs.metrics()),
            last_cycle: state.last_cycle.clone(),
            indexes,
            active_repairs: repairs
                .map(|repairs| repairs.running())
                .unwrap_or_default()
                .into_iter()
                .map(active)
                .collect(),
            auto_heal_enabled,
        })
    }

    /// # Errors
    /// A session's value that is out of range.
    pub fn settings(&self, session: &SessionSettings) -> Result<Vec<EffectiveSetting>, Refusal> {
        let mut layers = self.layers();
        for (name, text) in &session.0 {
            let Some(setting) = Setting::of_name(name) else { continue };
            if !text.trim().is_empty() {
                setting.parse(text).map_err(Refusal::InvalidValue)?;
            }
            layers.put(Source::Session, setting, text.clone());
        }
        Ok(layers.all())
    }

    /// Changes the running engine; None: back to what else holds.
    ///
    /// # Errors
    /// An unknown name, a value out of range, a caller who may not.
    pub fn set(&self, name: &str, value: Option<&str>, caller: &Caller) -> Result<(), Refusal> {
        if caller.role < Role::Admin {
            return Err(Refusal::NotPermitted(format!(
                "settings of the running pgheal are changed by admins only; {} is {}",
                caller.name,
                caller.role.with_article()
            )));
        }
        let setting = Setting::of_name(name).ok_or_else(|| {
            let known = Setting::ALL.map(Setting::name).join(", ");
            Refusal::InvalidValue(format!("there is no setting {name}; there are {known}"))
        })?;
        match value.filter(|text| !text.trim().is_empty()) {
            Some(text) => {
                setting.parse(text).map_err(Refusal::InvalidValue)?;
                self.state().endpoint.put(Source::Endpoint, setting, text.to_owned());
            }
            None => self.state().endpoint.unset(Source::Endpoint, setting),
        }
        tracing::info!(
            target_name = self.target.name,
            caller = caller.name,
            setting = setting.name(),
            value = value.unwrap_or("(unset)"),
            "a setting was changed at the endpoint"
        );
        self.changed.notify_one();
        Ok(())
    }

    /// A session of the present attempt at this database.
    ///
    /// # Errors
    /// Where there is none: with the reason.
    fn connector(&self) -> Result<Connector, Refusal> {
        let state = self.state();
        match (&state.connector, &state.silent) {
            (Some(connector), None) => Ok(connector.clone()),
            _ => Err(self.unavailable(&state)),
        }
    }

    /// # Errors
    /// Where this process does not lead: with the reason.
    fn repairer(&self) -> Result<Repairer, Refusal> {
        let state = self.state();
        match (&state.repairer, &state.silent) {
            (Some(repairer), None) => Ok(repairer.clone()),
            _ => Err(self.unavailable(&state)),
        }
    }

    fn unavailable(&self, state: &State) -> Refusal {
        let name = &self.target.name;
        let reason = match (&state.silent, &state.phase) {
            (Some((reason, _)), _) => reason.clone(),
            (None, TargetState::Failed { reason }) => reason.clone(),
            (None, TargetState::Standby) => "another pgheal leads; this one stands by".to_owned(),
            (None, TargetState::Connecting) => "pgheal is still connecting to it".to_owned(),
            (None, TargetState::Leading) => "pgheal is getting ready".to_owned(),
        };
        Refusal::Unavailable(format!("{name} cannot be worked with now: {reason}"))
    }

    fn enter(&self, phase: TargetState) {
        let mut state = self.state();
        if state.phase == phase {
            return;
        }
        let name = &self.target.name;
        match &phase {
            TargetState::Failed { reason } => tracing::error!(target_name = name, "{reason}"),
            phase => tracing::info!(target_name = name, server = self.target.connector.server(), "{}", phase.name()),
        }
        // What was seen while this process led is past, when another one leads.
        let stands_by = phase == TargetState::Standby;
        state.phase = phase;
        state.since = SystemTime::now();
        if stands_by {
            state.last_cycle = None;
            drop(state);
            *self.seen() = Seen::default();
        }
    }
}

fn active(repair: crate::heal::RunningRepair) -> ActiveRepair {
    ActiveRepair {
        ticket: repair.ticket,
        issue_id: repair.issue_id,
        index: repair.index.to_string(),
        started_at: repair.started_at,
        progress: repair.progress,
    }
}
