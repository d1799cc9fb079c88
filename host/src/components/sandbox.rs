use std::future::Future;
use std::sync::Arc;

use anyhow::Result;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{Engine, PoolConcurrencyLimitError, Store, Trap, UpdateDeadline, WasmBacktrace};

use super::contract::Contracts;
use super::error::Violation;
use super::limits::Budget;
use super::meter::Meter;
use super::options::PolicyConfigs;
use super::policy_core::PolicyCore;
use super::state::{CallState, LogBudget, MemoryBudget};
use super::{CallError, PolicyHost, engine};
use crate::model::IndexName;

/// What all policies share: the engine, what they may import, and their configuration.
pub(super) struct Sandbox {
    pub(super) engine: Engine,
    pub(super) contracts: Contracts,
    pub(super) configs: PolicyConfigs,
    permits: Arc<Semaphore>,
}

/// A store with every limit in force, before anything of the policy runs in it.
pub(super) struct Call {
    pub(super) store: Store<CallState>,
    budget: Budget,
    meter: Arc<Meter>,
    _permit: OwnedSemaphorePermit,
}

impl Sandbox {
    pub(super) fn new(configs: PolicyConfigs) -> Result<Arc<Self>> {
        let engine = engine::start(&configs.limits, configs.memory_bytes())?;
        let contracts = Contracts::new(&engine)?;
        let permits = Arc::new(Semaphore::new(configs.limits.concurrent_calls as usize));
        Ok(Arc::new(Sandbox { engine, contracts, configs, permits }))
    }

    /// Prepares a call; waits while too many run.
    pub(super) async fn arm(
        &self,
        policy: &PolicyCore,
        budget: Budget,
        host: Arc<dyn PolicyHost>,
        index: Option<IndexName>,
    ) -> Result<Call, CallError> {
        let permit = self.permits.clone().acquire_owned().await.map_err(|e| CallError::Sandbox(e.to_string()))?;
        let meter = Arc::new(Meter::new());
        let limits = policy.limits.clone();
        let bytes_to_host = limits.bytes_to_host;
        let state = CallState {
            policy: policy.name.clone(),
            digest: policy.digest.clone(),
            host,
            index,
            grant: policy.grant.clone(),
            settings: policy.settings.clone(),
            meter: meter.clone(),
            host_calls: 0,
            log: LogBudget { lines: limits.log_lines, bytes: limits.log_bytes, last_error: None },
            memory: MemoryBudget { used_bytes: 0, limit_bytes: limits.memory_bytes },
            limits,
        };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_fuel(budget.fuel).map_err(|e| CallError::Sandbox(e.to_string()))?;
        store.set_hostcall_fuel(bytes_to_host);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |context| {
            if context.data().meter.guest_time() > budget.guest_time {
                return Err(Violation::CpuTime.into());
            }
            Ok(UpdateDeadline::Yield(1))
        });
        Ok(Call { store, budget, meter, _permit: permit })
    }
}

impl Call {
    /// What bounds the time of this call from outside; apart from the store, which the call's future borrows.
    pub(super) fn clock(&self) -> Clock {
        Clock { budget: self.budget, meter: self.meter.clone() }
    }

    /// Ends the call: the store is dropped with everything in it, and an error gets its name.
    pub(super) fn settle<R>(self, outcome: Result<wasmtime::Result<R>, CallError>) -> Result<R, CallError> {
        outcome?.map_err(|error| classify(&error, self.budget, self.store.data()))
    }
}

pub(super) struct Clock {
    budget: Budget,
    meter: Arc<Meter>,
}

impl Clock {
    /// Runs the call under its meter and its wall time. When that is over, the future is dropped where it
    /// waits: within the policy or within the host's function, which cancels its work by its own drop.
    pub(super) async fn run<R>(
        &self,
        call: impl Future<Output = wasmtime::Result<R>>,
    ) -> Result<wasmtime::Result<R>, CallError> {
        let call = self.meter.call(call);
        match self.budget.wall_time {
            Some(limit) => tokio::time::timeout(limit, call).await.map_err(|_| CallError::WallTime(limit)),
            None => Ok(call.await),
        }
    }
}

/// wasmtime's error for data beyond `set_hostcall_fuel` has no public type.
const TOO_MUCH_DATA: &str = "fuel allocated for hostcalls has been exhausted";

fn classify(error: &wasmtime::Error, budget: Budget, state: &CallState) -> CallError {
    match error.downcast_ref::<Violation>() {
        Some(Violation::CpuTime) => return CallError::CpuTime(budget.guest_time),
        Some(Violation::TooManyHostCalls) => return CallError::TooManyHostCalls(state.limits.host_calls),
        Some(&Violation::Memory { wanted }) => {
            return CallError::Memory { wanted, limit: state.limits.memory_bytes };
        }
        None => {}
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        if *trap == Trap::OutOfFuel {
            return CallError::OutOfFuel(budget.fuel);
        }
        let message = match (&state.log.last_error, trap) {
            // How a panic of Rust looks from outside; its words were logged just before.
            (Some(words), Trap::UnreachableCodeReached) => words.clone(),
            _ => trap.to_string(),
        };
        return CallError::Trap { message, backtrace: backtrace(error) };
    }
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return CallError::Sandbox(format!("{error:#}"));
    }
    let text = format!("{:#}", error.root_cause());
    if text.contains(TOO_MUCH_DATA) {
        return CallError::TooMuchData(state.limits.bytes_to_host);
    }
    CallError::InvalidResult(text)
}

fn backtrace(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    backtrace
        .frames()
        .iter()
        .map(|frame| match frame.func_name() {
            // The alternate form leaves out the hash that Rust appends.
            Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
            None => format!("function {}", frame.func_index()),
        })
        .collect()
}
