//! Write policies for pgheal: how an index is repaired ([`Strategy`]) and what is repaired first ([`Prioritizer`]).
//!
//! `pgheal policy new NAME --kind strategy` (or `prioritizer`) makes a crate to start from, with native tests and example
//! issues; `docs/POLICIES.md` goes on from there.
//!
//! A policy is a crate with `crate-type = ["cdylib", "rlib"]` that depends on this one and on nothing else.
//! A whole strategy:
//!
//! ```ignore
//! use pgheal_guest_sdk::*;
//!
//! struct ReindexInvalid;
//!
//! impl Strategy for ReindexInvalid {
//!     fn name() -> String {
//!         "reindex_invalid".into()
//!     }
//!     fn can_repair(issue: &Issue) -> bool {
//!         matches!(issue.kind, IssueKind::InvalidIndex(_))
//!     }
//!     fn repair(issue: &Issue, _context: &RepairContext) -> Result<RepairResult, RepairError> {
//!         let index = index_of(issue)?;
//!         let candidate = host::actions::build_beside(index, AS_IT_IS)?;
//!         let comparison = host::actions::compare(&candidate)?;
//!         if !comparison.gate_passed {
//!             return Err(RepairError::CannotImprove(comparison.reason));
//!         }
//!         host::actions::swap(&candidate)?;
//!         Ok(Report::new("index_rebuild").detail("built", candidate.name).success())
//!     }
//!     fn validate(_issue: &Issue, result: &RepairResult) -> bool {
//!         result.success
//!     }
//!     fn estimated_duration(_issue: &Issue) -> u64 {
//!         host::measure::past_duration_ms("index_rebuild").unwrap_or(300_000)
//!     }
//! }
//!
//! export_strategy!(ReindexInvalid);
//! ```
//!
//! Policies run in a sandbox without clock, files, network or randomness: what they know comes in the arguments
//! and from [`host`]. Every call starts in a fresh instance, so nothing is remembered between calls except what
//! a [`RepairResult`] holds. The decisions of a policy are best written as functions without host calls: those
//! can be tested natively with `cargo test`, those that take
//! [`IndexTools`] with a [`testing::PlayedIndex`].

pub mod bindings;
mod curve;
mod exports;
pub mod host;
mod report;
mod settings;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod tools;
mod traits;

pub use bindings::strategy::pgheal::policy::context::RepairContext;
pub use bindings::strategy::pgheal::policy::settings::{SettingDeclaration, SettingKind};
pub use bindings::strategy::pgheal::policy::types::*;
pub use curve::{cost_at, smallest_sufficient};
#[doc(hidden)]
pub use exports::on_entry;
pub use host::actions::AS_IT_IS;
pub use report::{Report, detail};
pub use settings::declare;
pub use tools::{HostTools, IndexTools};
pub use traits::{Prioritizer, Ranked, Strategy, index_of, setting};
