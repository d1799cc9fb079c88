//! The life of a policy's file: the directory says what should serve, the registry holds what does.
//!
//! `watch` notices changes, `pass` takes the directory's files through the pipeline of `load` and swaps the registry,
//! `memory` keeps what served in the state directory (`store`), `version` counts the strikes of what serves, and
//! `quarantine` takes a version out of service when it has too many. `deploy` puts files into the directory.

mod book;
mod deploy;
mod durable;
mod file;
mod memory;
mod options;
mod pass;
mod quarantine;
mod registry;
mod state;
mod status;
mod store;
mod version;
mod wait;
mod watch;

pub use deploy::Placed;
pub(super) use file::read_policy;
pub use options::PoliciesOptions;
pub use state::Origin;
pub use status::{FailureReport, PoliciesStatus, PolicyState, PolicyStatus};
pub use wait::{Waited, status_of_daemon, wait_until_active};
pub use watch::Watching;

pub(super) use book::{Book, Ledger};
pub(super) use quarantine::Condemned;
pub(super) use registry::Registry;
pub(super) use version::Version;

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// The name of a path within its directory, for people and for JSON.
pub(super) fn file_name(path: &std::path::Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
