//! Policies: WebAssembly components that score issues and repair them, in a sandbox.
//!
//! `policy_host` is what a policy can ask for; `imports` hands those questions over, `conversions` translates the
//! types, `sandbox` arms the limits of a call, `load` takes a file through compile, link and self-check, and
//! `policies` is the set that serves.

mod bench;
mod bindings;
mod cache;
mod conversions;
mod engine;
mod error;
mod imports;
mod inspect;
mod limits;
mod load;
mod meter;
pub mod played;
mod policies;
mod policy_host;
mod prioritizer;
mod refusing_host;
mod repair_context;
mod sandbox;
mod single;
mod state;
mod strategy;
pub mod trust;

pub use bench::{CallBench, Timing};
pub use error::{CallError, LoadFailure, LoadStep};
pub use inspect::{ImportedInterface, Inspection};
pub use limits::{Budget, Limits};
pub use policies::{Policies, PolicyInfo, PolicyKind};
pub use policy_host::{
    BuildOptions, Candidate, Comparison, HostError, PolicyHost, Reinsertion, SettingScope, SqlRows, SqlValue,
};
pub use prioritizer::PrioritizerPolicy;
pub use refusing_host::RefusingHost;
pub use repair_context::{Ranked, RepairContext, RepairFailure};
pub use single::SinglePolicy;
pub use strategy::StrategyPolicy;
pub use trust::Trust;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
