//! Policies: WebAssembly components that score issues and repair them, in a sandbox.
//!
//! `policy_host` is what a policy can ask for; `imports` hands those questions over, `conversions` translates the
//! types, `sandbox` arms the limits of a call, `load` takes a component through compile, link and self-check,
//! `policies` is the set that serves, and `lifecycle` keeps it in line with the policy directory.

mod bindings;
mod cache;
mod conversions;
mod engine;
mod error;
mod imports;
mod lifecycle;
mod limits;
mod load;
mod meter;
mod policies;
mod policy_host;
mod prioritizer;
mod refusing_host;
mod repair_context;
mod sandbox;
mod state;
mod strategy;

pub use error::{CallError, LoadFailure, LoadStep};
pub use lifecycle::{
    Admission, FailureReport, Origin, Placed, PoliciesOptions, PoliciesStatus, PolicyState, PolicyStatus, Waited,
    Watching, status_of_daemon, wait_until_active,
};
pub use limits::{Budget, Limits};
pub use policies::{Policies, PolicyInfo, PolicyKind};
pub use policy_host::{
    BuildOptions, Candidate, Comparison, HostError, PolicyHost, Reinsertion, SettingScope, SqlRows, SqlValue,
};
pub use prioritizer::PrioritizerPolicy;
pub use refusing_host::RefusingHost;
pub use repair_context::{Ranked, RepairContext, RepairFailure};
pub use strategy::StrategyPolicy;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
