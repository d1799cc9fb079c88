//! Policies: WebAssembly components that score issues and repair them, in a sandbox.
//!
//! `policy_host` is what a policy can ask for, `grant` what it may; `contract` names the versions of `wit/`, and the
//! module of each (`v0_1`) hands the questions over and translates the types; `sandbox` arms the limits of a call,
//! `load` takes a component through imports, compile, link, describe and self-check, `policies` is the set that serves, and
//! `lifecycle` keeps it in line with the policy directory.

mod bench;
mod cache;
mod compiler;
mod component_types;
mod contract;
mod engine;
mod error;
mod grant;
mod inspect;
mod lifecycle;
mod limits;
mod load;
mod meter;
mod options;
pub mod played;
mod policies;
mod policy_core;
mod policy_host;
mod prioritizer;
mod refusing_host;
mod repair_context;
mod sandbox;
mod setting;
mod single;
mod state;
mod strategy;
pub mod trust;
mod v0_1;

pub use contract::{ContractVersion, Shape};

pub use bench::{CallBench, Timing};
pub use error::{CallError, LoadFailure, LoadStep};
pub use grant::{ACTIONS, Grant, SCANS};
pub use inspect::{ImportedInterface, Inspection};
pub use lifecycle::{
    FailureReport, Origin, Placed, PoliciesOptions, PoliciesStatus, PolicyState, PolicyStatus, Waited, Watching,
    status_of_daemon, wait_until_active,
};
pub use limits::{Budget, Limits};
pub use options::{PolicyConfigs, PolicyOptions};
pub use policies::{Policies, PolicyInfo, PolicyKind};
pub use policy_host::{
    BuildOptions, Candidate, Comparison, HostError, PolicyHost, Reinsertion, SettingScope, SqlRows, SqlValue,
};
pub use prioritizer::PrioritizerPolicy;
pub use refusing_host::RefusingHost;
pub use repair_context::{Ranked, RepairContext, RepairFailure};
pub use setting::{SettingDeclaration, SettingKind};
pub use single::SinglePolicy;
pub use strategy::StrategyPolicy;
pub use trust::Trust;
