//! What a call costs, and what the sandbox adds to it: measured beside bare wasmtime, turn by turn in one run.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::contract::Bare;
use super::policy_core::PolicyCore;
use super::{CallError, LoadFailure, PolicyConfigs, PolicyInfo, RefusingHost, SinglePolicy, Trust, engine};
use crate::model::Issue;

/// Turns before the measuring begins: caches and slots of the pool are warm then, as in a daemon.
const WARM_UP: Duration = Duration::from_millis(100);

/// Times of one kind of work, over all turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    pub p50: Duration,
    pub p99: Duration,
    pub samples: usize,
}

/// What calls of one policy cost: compute-priority of a prioritizer, can-repair of a strategy.
#[derive(Debug)]
pub struct CallBench {
    pub info: PolicyInfo,
    pub function: &'static str,
    /// A call as the daemon makes it: a fresh instance, every limit armed, the instance cleared afterwards.
    pub sandboxed: Timing,
    /// Arming and instantiating only.
    pub instantiate: Timing,
    /// The call only.
    pub call: Timing,
    /// The same by bare wasmtime: fresh instance and call, compiled without fuel and epochs, no limits. The reason
    /// where the policy cannot run so.
    pub bare: std::result::Result<Timing, String>,
    /// Fuel of one call, instantiation included.
    pub fuel: u64,
    /// All memories and tables of an instance after the call.
    pub memory_bytes: usize,
}

impl CallBench {
    /// Measures for `duration`. The inner error is why the file does not load.
    ///
    /// # Errors
    /// Where the file cannot be read, the policy fails on the issue, or the sandbox cannot be started.
    pub async fn run(
        path: &Path,
        configs: PolicyConfigs,
        trust: &Trust,
        issue: &Issue,
        duration: Duration,
    ) -> Result<std::result::Result<CallBench, LoadFailure>> {
        let policy = match SinglePolicy::load(path, configs, trust).await? {
            Ok(policy) => policy,
            Err(failure) => return Ok(Err(failure)),
        };
        let bytes = std::fs::read(path)?;
        let function = policy.function();
        let bare = policy.bare(&bytes, issue).and_then(|bare| bare().map(|()| bare));

        let began = Instant::now();
        let (mut sandboxed, mut instantiate, mut call, mut bare_times) = (vec![], vec![], vec![], vec![]);
        let (mut fuel, mut memory_bytes) = (0, 0);
        while sandboxed.is_empty() || began.elapsed() < WARM_UP + duration {
            let turn = Instant::now();
            policy.call_sandboxed(issue).await?;
            let took_sandboxed = turn.elapsed();

            let turn = Instant::now();
            if let Ok(bare) = &bare {
                bare()?;
            }
            let took_bare = turn.elapsed();

            let parts = policy.call_in_parts(issue).await?;
            if turn.duration_since(began) < WARM_UP {
                continue;
            }
            sandboxed.push(took_sandboxed);
            bare_times.push(took_bare);
            instantiate.push(parts.instantiate);
            call.push(parts.call);
            (fuel, memory_bytes) = (parts.fuel, parts.memory_bytes);
        }
        Ok(Ok(CallBench {
            info: policy.info().clone(),
            function,
            sandboxed: Timing::of(sandboxed),
            instantiate: Timing::of(instantiate),
            call: Timing::of(call),
            bare: bare.map(|_| Timing::of(bare_times)).map_err(|error| format!("{error:#}")),
            fuel,
            memory_bytes,
        }))
    }
}

impl Timing {
    fn of(mut times: Vec<Duration>) -> Timing {
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
        Timing { p50: at(0.5), p99: at(0.99), samples: times.len() }
    }
}

/// A call taken apart.
struct Parts {
    instantiate: Duration,
    call: Duration,
    fuel: u64,
    memory_bytes: usize,
}

/// A call taken apart.
macro_rules! parts {
    ($core:expr, |$store:ident| $call:expr) => {{
        let core: &PolicyCore = $core;
        let budget = core.limits.pure;
        let began = Instant::now();
        let mut call = core.sandbox.arm(core, budget, Arc::new(RefusingHost::default()), None).await?;
        let armed = began.elapsed();
        let clock = call.clock();
        let $store = &mut call.store;
        let outcome = clock.run($call).await;
        let left = call.store.get_fuel().map_err(|error| CallError::Sandbox(error.to_string()))?;
        let memory_bytes = call.store.data().memory.used_bytes;
        let (instantiate, called) = call.settle(outcome)?;
        Ok(Parts { instantiate: armed + instantiate, call: called, fuel: budget.fuel - left, memory_bytes })
    }};
}

impl SinglePolicy {
    /// The call that is made most often.
    fn function(&self) -> &'static str {
        match self {
            SinglePolicy::Strategy(_) => "can-repair",
            SinglePolicy::Prioritizer(_) => "compute-priority",
        }
    }

    async fn call_sandboxed(&self, issue: &Issue) -> std::result::Result<(), CallError> {
        match self {
            SinglePolicy::Strategy(policy) => policy.can_repair(issue).await.map(drop),
            SinglePolicy::Prioritizer(policy) => policy.compute_priority(issue).await.map(drop),
        }
    }

    async fn call_in_parts(&self, issue: &Issue) -> std::result::Result<Parts, CallError> {
        match self {
            SinglePolicy::Strategy(policy) => parts!(&policy.core, |store| policy.guest.timed(store, issue)),
            SinglePolicy::Prioritizer(policy) => parts!(&policy.core, |store| policy.guest.timed(store, issue)),
        }
    }

    fn bare(&self, bytes: &[u8], issue: &Issue) -> Result<Bare> {
        let (core, function) = match self {
            SinglePolicy::Strategy(policy) => (&policy.core, self.function()),
            SinglePolicy::Prioritizer(policy) => (&policy.core, self.function()),
        };
        let configs = &core.sandbox.configs;
        let engine = engine::bare(&configs.limits, configs.memory_bytes())?;
        core.sandbox.contracts.of(core.info.shape.contract).bare(&engine, bytes, core.info.kind, function, issue)
    }
}
