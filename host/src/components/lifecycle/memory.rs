//! What served is kept, and remembered over a restart.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use super::book::Book;
use super::file::{self, Content};
use super::registry::{Registry, Slot};
use super::state::{Event, Origin, Remembered, State};
use super::store::{Intent, Store, Unreadable};
use super::{durable, file_name, now_ms};
use crate::components::load::{self, Loaded};
use crate::components::{LoadFailure, LoadStep, Policies, Trust};
use crate::failpoint;

impl Policies {
    /// Reads what an earlier process remembered; changes nothing.
    pub(in crate::components) fn recall(&self, book: &mut Book) {
        let dir = self.options.state_directory();
        let store = match Store::open(&dir, &self.options.directory) {
            Ok(Some(store)) => store,
            Ok(None) => return,
            Err(error) => {
                book.forgetful = Some(format!("{error:#}"));
                return;
            }
        };
        match store.state() {
            Ok(state) => {
                book.state = state;
                book.store = Some(store);
            }
            Err(Unreadable::Damaged(reason)) => {
                tracing::warn!("{}/state.json is damaged ({reason}): it is not used", dir.display());
                book.store = Some(store);
            }
            Err(Unreadable::Untouchable(error)) => book.forgetful = Some(format!("{error:#}")),
        }
    }

    /// Becomes the one that serves this directory and remembers what served, where that is possible.
    pub(super) fn take_over(&self, book: &mut Book) {
        if book.lock.is_some() {
            return;
        }
        let forgetful = self.try_take_over(book).err().map(|error| format!("{error:#}"));
        if let Some(reason) = forgetful.as_ref().filter(|_| forgetful != book.forgetful) {
            tracing::warn!("versions of policies are not remembered: {reason}");
        }
        book.forgetful = forgetful;
    }

    fn try_take_over(&self, book: &mut Book) -> Result<()> {
        let dir = self.options.state_directory();
        let store = Store::create(&dir, &self.options.directory)?;
        let lock = store.lock()?.with_context(|| {
            let pid = store.served_by().map_or_else(String::new, |pid| format!(" (process {pid})"));
            format!("another pgheal{pid} serves with the state directory {}", dir.display())
        })?;
        // It may have changed since it was read: somebody else may have had the lock.
        let mut state = match store.state() {
            Ok(state) => state,
            Err(Unreadable::Damaged(reason)) => {
                let aside = store.move_state_aside()?;
                tracing::warn!(
                    "the policies' state.json was damaged ({reason}) and is now {}; the kept versions are all there",
                    aside.display()
                );
                State::default()
            }
            Err(Unreadable::Untouchable(error)) => return Err(error),
        };
        for (name, own) in &book.state.policies {
            let Some(policy) = state.policies.get_mut(name) else { continue };
            for entry in &own.quarantined {
                // Seen by this process itself, while somebody else had the lock.
                if book.fresh_quarantines.contains(&entry.digest) && !policy.is_quarantined(&entry.digest) {
                    policy.quarantined.push(entry.clone());
                }
            }
        }
        store.sweep();
        durable::sweep(&self.options.directory);
        book.state = state;
        book.store = Some(store);
        book.lock = Some(lock);
        Ok(())
    }

    /// Brings the memory in line with what is about to serve; on disk where this process may write there. What
    /// cannot be written does not hold up the policies.
    pub(super) fn remember(
        &self,
        book: &mut Book,
        next: &Registry,
        files: &[PathBuf],
        contents: &BTreeMap<PathBuf, Arc<Content>>,
        intents: &HashMap<String, Intent>,
    ) {
        let before = book.state.clone();
        let mut gone = Vec::new();
        let mut not_kept = None;
        for slot in &next.slots {
            if let Some(store) = book.writable().filter(|store| !store.has(slot.digest()))
                && let Err(error) =
                    keep(store, slot, &self.options.directory, contents.get(slot.path()), self.limit_bytes())
            {
                not_kept = Some(error);
            }
            gone.extend(note(&mut book.state, slot, intents));
        }
        let path_of = |file: &str| self.options.directory.join(file);
        for (name, policy) in &mut book.state.policies {
            if policy.retired_ms.is_some() || next.named(name).is_some() {
                continue;
            }
            let path = path_of(&policy.file);
            // Its file holds another policy now, or is gone.
            if next.at(&path).is_some() || !files.contains(&path) {
                tracing::info!(policy = name, file = policy.file, "retired");
                policy.retired_ms = Some(now_ms());
                policy.quarantined.clear();
            }
        }
        if let Some(error) = not_kept {
            tracing::warn!("a version of a policy cannot be kept: {error:#}");
        }
        if book.state == before {
            return;
        }
        if let Some(store) = book.writable() {
            let current = self.registry();
            let reloads =
                next.slots.iter().any(|slot| current.at(slot.path()).is_some_and(|old| old.digest() != slot.digest()));
            if reloads {
                failpoint::hit("reload_before_state");
            }
            match store.save_state(&book.state) {
                Ok(()) => gone.iter().for_each(|digest| store.forget(digest)),
                Err(error) => tracing::warn!("the policies' state cannot be remembered: {error:#}"),
            }
            if reloads {
                failpoint::hit("reload_after_state");
            }
        }
    }

    /// The last good version of a policy, from the store, ready to serve in the place of `instead_of`.
    pub(super) async fn kept_version(&self, book: &Book, name: &str, path: &Path, instead_of: &str) -> Option<Loaded> {
        let (store, policy) = (book.store.as_ref()?, book.state.policies.get(name)?);
        for digest in policy.good_versions(instead_of) {
            match self.load_kept(store, name, path, &digest).await {
                Ok(loaded) => return Some(loaded),
                Err(error) => tracing::warn!(policy = name, digest, "a kept version cannot serve: {error:#}"),
            }
        }
        None
    }

    /// Takes a kept version through the pipeline.
    pub(super) async fn load_kept(&self, store: &Store, name: &str, path: &Path, digest: &str) -> Result<Loaded> {
        let bytes = store.version(digest, self.limit_bytes())?;
        // Its signature is kept beside it; that a key is trusted no more is noticed here, too.
        self.options.trust.check(&store.version_path(digest)?, &bytes).map_err(anyhow::Error::msg)?;
        let nobody_else = Trust::default();
        let loaded = load::load(&self.sandbox, self.cache.as_ref(), &nobody_else, path, &bytes, digest).await?;
        ensure!(loaded.info().name == name, "version {digest} is of the policy {}", loaded.info().name);
        Ok(loaded)
    }

    pub(super) fn limit_bytes(&self) -> u64 {
        self.sandbox.configs.limits.component_bytes
    }
}

/// Keeps what a slot serves: as it was just read, or else from its file if that still holds it.
fn keep(store: &Store, slot: &Slot, home: &Path, content: Option<&Arc<Content>>, limit_bytes: u64) -> Result<()> {
    if let Some(content) = content.filter(|content| content.digest == slot.digest()) {
        store.keep_signature(slot.digest(), slot.path())?;
        return store.keep(slot.digest(), &content.bytes);
    }
    let content = file::read(Some(home), slot.path(), limit_bytes)?;
    if content.digest == slot.digest() {
        store.keep_signature(slot.digest(), slot.path())?;
        store.keep(slot.digest(), &content.bytes)?;
    }
    Ok(())
}

/// Notes what a slot serves; gives the versions that need not be kept any more.
fn note(state: &mut State, slot: &Slot, intents: &HashMap<String, Intent>) -> Vec<String> {
    let info = slot.policy.info();
    let policy = state.policies.entry(info.name.clone()).or_insert_with(|| Remembered {
        kind: info.kind,
        file: String::new(),
        retired_ms: None,
        history: Vec::new(),
        quarantined: Vec::new(),
    });
    policy.kind = info.kind;
    policy.file = file_name(&info.path);
    policy.retired_ms = None;
    if policy.active() == Some(&info.digest) {
        return Vec::new();
    }
    let intent = intents.get(&info.digest).filter(|_| !slot.restored);
    let event = Event {
        digest: info.digest.clone(),
        since_ms: slot.since_ms,
        origin: if slot.restored { Origin::Restored } else { intent.map_or(Origin::File, |intent| intent.origin) },
        from: intent.and_then(|intent| intent.from.clone()),
    };
    policy.push(event)
}

/// That a version in quarantine is not loaded.
pub(super) fn refusal(state: &State, path: &Path, digest: &str) -> Option<LoadFailure> {
    let entry = state.quarantine_of(digest)?;
    Some(LoadFailure {
        path: path.to_owned(),
        digest: Some(digest.to_owned()),
        step: LoadStep::Quarantine,
        reason: format!("it is in quarantine: {}", entry.reason),
    })
}
