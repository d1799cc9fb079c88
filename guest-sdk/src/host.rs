//! What a policy can ask of its host. Out of the sandbox (in native tests) these calls panic,
//! except for the log's.

use crate::bindings::strategy::pgheal::policy as wit;
use crate::{HostError, RepairError};

/// Measuring changes nothing and always uses the same probe queries within one repair.
pub mod measure {
    pub use super::wit::measure::{health, past_duration_ms, unfindable_rows};
}

/// Changes that the host journals with their undo.
pub mod actions {
    pub use super::wit::actions::{
        BuildOptions, Candidate, Comparison, Reinsertion, SettingScope, analyze, build_beside, compare, discard,
        reindex_concurrently, reinsert_rows, set_parameter, swap, vacuum, validate_on_scans,
    };

    /// Build with the parameters that the index has now.
    pub const AS_IT_IS: BuildOptions = BuildOptions { m: None, ef_construction: None, lists: None };
}

/// The settings in force: the operator's, or else the declared defaults. Strategies find them in their context, too.
pub mod settings {
    pub use super::wit::settings::get;
}

/// SQL in the transaction of the current call.
pub mod database {
    pub use super::wit::database::{Rows, Value, execute, query};
}

/// Lines in the host's log, with the policy's name on them; see also [`crate::info!`] and its siblings.
pub mod log {
    pub use super::wit::log::Level;

    /// In native tests the line goes to the standard error.
    pub fn write(level: Level, message: &str) {
        if cfg!(target_arch = "wasm32") {
            super::wit::log::write(level, message);
        } else {
            eprintln!("{level:?}: {message}");
        }
    }
}

#[macro_export]
macro_rules! debug { ($($arg:tt)*) => { $crate::host::log::write($crate::host::log::Level::Debug, &format!($($arg)*)) }; }
#[macro_export]
macro_rules! info { ($($arg:tt)*) => { $crate::host::log::write($crate::host::log::Level::Info, &format!($($arg)*)) }; }
#[macro_export]
macro_rules! warn { ($($arg:tt)*) => { $crate::host::log::write($crate::host::log::Level::Warn, &format!($($arg)*)) }; }
#[macro_export]
macro_rules! error { ($($arg:tt)*) => { $crate::host::log::write($crate::host::log::Level::Error, &format!($($arg)*)) }; }

/// The host's refusal in words.
pub fn explain(error: &HostError) -> String {
    match error {
        HostError::Denied(text) => format!("not granted: {text}"),
        HostError::Limit(text) => format!("limit: {text}"),
        HostError::GateFailed(text) => format!("gate not passed: {text}"),
        HostError::NotNow(text) => format!("not now: {text}"),
        HostError::Database((sqlstate, message)) => format!("PostgreSQL ({sqlstate}): {message}"),
        HostError::Unknown(text) => text.clone(),
    }
}

impl From<HostError> for RepairError {
    /// A gate that was not passed means that the repair does not help; everything else is the host's failure.
    fn from(error: HostError) -> Self {
        match error {
            HostError::GateFailed(text) => RepairError::ValidationFailed(text),
            other => RepairError::Host(explain(&other)),
        }
    }
}
