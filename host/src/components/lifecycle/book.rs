//! What the lifecycle knows beside what serves.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::path::PathBuf;

use super::file::Signature;
use super::state::State;
use super::status::FailureReport;
use super::store::Store;
use crate::components::LoadFailure;

/// Belongs to whoever takes a pass over the directory; no call ever waits for it.
#[derive(Default)]
pub(in crate::components) struct Book {
    /// What each file held when it was last read.
    pub(super) seen: HashMap<PathBuf, Seen>,
    /// Why files do not serve.
    pub(super) failures: BTreeMap<PathBuf, Failed>,
    pub(super) state: State,
    /// None: nothing is remembered.
    pub(super) store: Option<Store>,
    /// Held while this process serves the directory: only then does it write to the store.
    pub(super) lock: Option<File>,
    /// Digests of versions that this process put into quarantine.
    pub(super) fresh_quarantines: HashSet<String>,
    /// Why nothing is remembered, where that is so.
    pub(super) forgetful: Option<String>,
    /// What is wrong with the directory itself.
    pub(super) complaint: Option<String>,
}

pub(super) struct Seen {
    pub(super) signature: Signature,
    pub(super) digest: String,
    /// The signature shows every change since.
    pub(super) settled: bool,
}

#[derive(Clone)]
pub(super) struct Failed {
    pub(super) failure: LoadFailure,
    /// When it was found.
    pub(super) when_ms: u64,
    /// When it was last tried, in vain.
    pub(super) tried_ms: u64,
    /// No kept version could stand in.
    pub(super) nothing_stands_in: bool,
    /// The name that the file's policy could not have.
    pub(super) wanted: Option<String>,
}

/// What the last pass left, for whoever asks how things are.
#[derive(Clone, Default)]
pub(in crate::components) struct Ledger {
    pub(super) failures: Vec<(PathBuf, FailureReport)>,
    pub(super) load_failures: Vec<LoadFailure>,
    pub(super) state: State,
    pub(super) serves: bool,
    pub(super) forgetful: Option<String>,
}

impl Book {
    /// The store, where this process may write to it.
    pub(super) fn writable(&self) -> Option<&Store> {
        self.store.as_ref().filter(|_| self.lock.is_some())
    }
}
