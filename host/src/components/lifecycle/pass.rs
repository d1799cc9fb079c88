//! One pass over the directory: what changed is loaded, and serves once it is found good.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use anyhow::Result;

use super::book::{Book, Failed, Seen};
use super::file::{self, Content, Signature, policy_files};
use super::memory::refusal;
use super::now_ms;
use super::registry::{Conflict, Registry, Slot};
use super::store::Intent;
use crate::components::load::{self, Loaded};
use crate::components::{LoadFailure, LoadStep, Policies};

/// A policy may fail to answer in time on a machine that is busy: such failures are looked at again.
const TRIED_AGAIN_AFTER_MS: u64 = 10 * 60 * 1_000;
/// A directory full of junk does not fill the log.
const FAILURES_LOGGED: usize = 20;

impl Policies {
    /// Makes what serves agree with the directory, as far as its files are good. Gives the files that do not serve.
    pub async fn reconcile(&self) -> Vec<LoadFailure> {
        let mut book = self.book.lock().await;
        self.settle_condemned(&mut book).await;
        let complaint = self.pass(&mut book).await.err().map(|error| format!("{error:#}"));
        if let Some(complaint) = complaint.as_ref().filter(|_| complaint != book.complaint) {
            tracing::error!("{complaint}; the policies serve on as they are");
        }
        book.complaint = complaint;
        drop(book);
        self.failures()
    }

    /// # Errors
    /// Where the directory cannot be read; then nothing is changed.
    pub(in crate::components) async fn pass(&self, book: &mut Book) -> Result<()> {
        let mut files = policy_files(&self.options.directory)?;
        let intents: HashMap<String, Intent> = match &book.store {
            Some(store) => store.intents().into_iter().map(|intent| (intent.digest.clone(), intent)).collect(),
            None => HashMap::new(),
        };
        book.seen.retain(|path, _| files.binary_search(path).is_ok());
        book.failures.retain(|path, _| files.binary_search(path).is_ok());

        let in_order = files.clone();
        // A large file that compiles for long keeps no small one waiting.
        files.sort_by_key(|path| fs::metadata(path).map_or(0, |found| found.len()));
        let mut logged = 0;
        let mut new: BTreeMap<PathBuf, Loaded> = BTreeMap::new();
        let mut contents: BTreeMap<PathBuf, Arc<Content>> = BTreeMap::new();
        for path in &files {
            let outcome = match self.changed(book, path, &in_order, &intents) {
                None => continue,
                Some(Ok(content)) => self.examine(book, path, content, &intents).await,
                Some(Err(failure)) => Err(failure),
            };
            match outcome {
                Ok((loaded, content)) => {
                    new.insert(path.clone(), loaded);
                    contents.insert(path.clone(), content);
                    self.put_into_service(book, &in_order, &new, &contents, &intents);
                }
                Err(failure) => self.fail(book, failure, None, &intents, &mut logged),
            }
        }
        let conflicts = self.put_into_service(book, &in_order, &new, &contents, &intents);
        for Conflict { path, digest, reason } in conflicts {
            let wanted = new.get(&path).map(|loaded| loaded.info().name.clone());
            let failure = LoadFailure { path, digest: Some(digest), step: LoadStep::Register, reason };
            self.fail(book, failure, wanted, &intents, &mut logged);
        }
        if logged > FAILURES_LOGGED {
            tracing::warn!("{} further files are not loaded", logged - FAILURES_LOGGED);
        }
        self.let_stand_in(book, &in_order).await;
        if let Some(store) = book.writable() {
            let is_there = |digest: &String| book.seen.values().any(|seen| seen.digest == *digest);
            intents.keys().filter(|digest| is_there(digest)).for_each(|digest| store.withdraw(digest));
        }
        self.tell(book);
        Ok(())
    }

    /// The content of a file that has to be looked at; None where nothing is new about it.
    fn changed(
        &self,
        book: &mut Book,
        path: &Path,
        files: &[PathBuf],
        intents: &HashMap<String, Intent>,
    ) -> Option<Result<Content, LoadFailure>> {
        let registry = self.registry();
        let is_old =
            |book: &Book, digest: &str| !intents.contains_key(digest) && known(book, &registry, files, path, digest);
        let signature = Signature::at(path);
        if let Some(seen) = book.seen.get(path)
            && seen.settled
            && Some(seen.signature) == signature
            && is_old(book, &seen.digest)
        {
            return None;
        }
        let content = match file::read(Some(&self.options.directory), path, self.limit_bytes()) {
            Ok(content) => content,
            Err(error) => {
                book.seen.remove(path);
                let reason = format!("{error:#}");
                return Some(Err(LoadFailure { path: path.to_owned(), digest: None, step: LoadStep::Read, reason }));
            }
        };
        let settled = content.signature.is_settled(now_ms());
        let seen = Seen { signature: content.signature, digest: content.digest.clone(), settled };
        book.seen.insert(path.to_owned(), seen);
        if is_old(book, &content.digest) {
            // It may have failed in between: what serves is what it holds again.
            if registry.at(path).is_some_and(|slot| slot.digest() == content.digest && !slot.restored) {
                book.failures.remove(path);
            }
            return None;
        }
        Some(Ok(content))
    }

    /// Takes a file's content through the pipeline.
    async fn examine(
        &self,
        book: &mut Book,
        path: &Path,
        content: Content,
        intents: &HashMap<String, Intent>,
    ) -> Result<(Loaded, Arc<Content>), LoadFailure> {
        if intents.get(&content.digest).is_some_and(|intent| intent.force) {
            for policy in book.state.policies.values_mut() {
                policy.quarantined.retain(|entry| entry.digest != content.digest);
            }
        }
        if let Some(failure) = refusal(&book.state, path, &content.digest) {
            return Err(failure);
        }
        let loaded =
            load::load(&self.sandbox, self.cache.as_ref(), &self.options.trust, path, &content.bytes, &content.digest)
                .await?;
        Ok((loaded, Arc::new(content)))
    }

    /// Swaps the registry for what the files hold; gives those whose names are taken.
    fn put_into_service(
        &self,
        book: &mut Book,
        files: &[PathBuf],
        new: &BTreeMap<PathBuf, Loaded>,
        contents: &BTreeMap<PathBuf, Arc<Content>>,
        intents: &HashMap<String, Intent>,
    ) -> Vec<Conflict> {
        let current = self.registry();
        let (next, conflicts) = current.next(files, new);
        for slot in &next.slots {
            let in_conflict = conflicts.iter().any(|conflict| conflict.path == slot.path());
            if new.contains_key(slot.path()) && !in_conflict {
                book.failures.remove(slot.path());
            }
            if current.at(slot.path()).is_none_or(|old| old.digest() != slot.digest()) && self.is_watched() {
                tracing::info!(policy = slot.name(), digest = slot.digest(), file = %slot.path().display(), "serves");
            }
        }
        self.remember(book, &next, files, contents, intents);
        self.swap(next);
        conflicts
    }

    /// The one place where what serves changes as a whole.
    pub(super) fn swap(&self, next: Registry) {
        for slot in &next.slots {
            slot.policy.version().enter_service(&self.me, slot.name(), self.options.max_strikes);
        }
        let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
        // A version may have been condemned since `next` was made; whoever condemns marks it before it comes here.
        *registry = Arc::new(next.without_quarantined());
    }

    /// For files that cannot serve, and whose policies nothing serves: their last good versions.
    async fn let_stand_in(&self, book: &mut Book, files: &[PathBuf]) {
        let registry = self.registry();
        let is_idle = |path: &PathBuf, failed: &Failed| !failed.nothing_stands_in && registry.at(path).is_none();
        let idle: Vec<(PathBuf, String)> = book
            .failures
            .iter()
            .filter(|(path, failed)| is_idle(path, failed))
            .map(|(path, failed)| (path.clone(), failed.failure.digest.clone().unwrap_or_default()))
            .collect();
        for (path, digest) in idle {
            let Some((name, _)) = book.state.policy_of_file(&super::file_name(&path)) else { continue };
            let name = name.clone();
            let registry = self.registry();
            if registry.named(&name).is_some() {
                continue;
            }
            match self.kept_version(book, &name, &path, &digest).await {
                Some(loaded) => {
                    tracing::warn!(policy = name, digest = loaded.info().digest, "an earlier version stands in");
                    let next = registry.with(&name, Some(Slot::restored(loaded)));
                    self.remember(book, &next, files, &BTreeMap::new(), &HashMap::new());
                    self.swap(next);
                }
                None => {
                    if let Some(failed) = book.failures.get_mut(&path) {
                        failed.nothing_stands_in = true;
                    }
                }
            }
        }
    }

    /// Notes a failure; the log hears of it once.
    pub(super) fn fail(
        &self,
        book: &mut Book,
        failure: LoadFailure,
        wanted: Option<String>,
        intents: &HashMap<String, Intent>,
        logged: &mut usize,
    ) {
        let now = now_ms();
        let is_asked_for = failure.digest.as_ref().is_some_and(|digest| intents.contains_key(digest));
        if let Some(known) = book.failures.get_mut(&failure.path)
            && known.failure == failure
        {
            known.tried_ms = now;
            if is_asked_for {
                known.when_ms = now;
            }
            return;
        }
        if self.is_watched() {
            *logged += 1;
            if *logged <= FAILURES_LOGGED {
                tracing::error!("{failure}");
            }
        }
        let path = failure.path.clone();
        let failed = Failed { failure, when_ms: now, tried_ms: now, nothing_stands_in: false, wanted };
        book.failures.insert(path, failed);
    }
}

/// Whether all is done about this content of a file.
fn known(book: &Book, registry: &Registry, files: &[PathBuf], path: &Path, digest: &str) -> bool {
    if registry.at(path).is_some_and(|slot| slot.digest() == digest && !slot.restored) {
        return true;
    }
    let Some(failed) = book.failures.get(path) else { return false };
    if failed.failure.digest.as_deref() != Some(digest) {
        return false;
    }
    match failed.failure.step {
        // The other file may be gone.
        LoadStep::Register => {
            let holder = failed.wanted.as_ref().and_then(|name| registry.named(name));
            holder.is_some_and(|slot| files.iter().any(|file| file == slot.path()))
        }
        // The signature may have come after the file. Looking is cheap.
        LoadStep::Trust => false,
        LoadStep::Describe | LoadStep::SelfCheck => now_ms().saturating_sub(failed.tried_ms) < TRIED_AGAIN_AFTER_MS,
        _ => true,
    }
}
