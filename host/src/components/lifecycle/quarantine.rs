//! A version with too many strikes goes out of service, and the one before comes back, by itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};

use super::book::Book;
use super::file::policy_files;
use super::memory::refusal;
use super::now_ms;
use super::registry::Slot;
use super::state::{Quarantined, Remembered};
use crate::components::Policies;

/// A version that was taken out of service, or is about to be, and is not yet remembered as such.
pub(in crate::components) struct Condemned {
    name: String,
    digest: String,
    reason: String,
}

impl Policies {
    /// Takes a version out of service: at once where the one before is at hand. The rest is left to whoever watches, so
    /// that the call that ended here waits for nothing.
    pub(super) fn quarantine(&self, name: &str, digest: &str, reason: String) {
        tracing::error!(policy = name, digest, "in quarantine: {reason}");
        {
            let mut registry = self.registry.write().unwrap_or_else(PoisonError::into_inner);
            let slot = registry.named(name).filter(|slot| slot.digest() == digest);
            if let Some(good) = slot.and_then(Slot::without_quarantined) {
                tracing::warn!(policy = name, digest = good.digest(), "the version before serves again");
                *registry = Arc::new(registry.with(name, Some(good)));
            }
        }
        let condemned = Condemned { name: name.to_owned(), digest: digest.to_owned(), reason };
        self.condemned.lock().unwrap_or_else(PoisonError::into_inner).push(condemned);
        if self.is_watched() {
            self.wake.notify_one();
        } else if let (Ok(runtime), Some(policies)) = (tokio::runtime::Handle::try_current(), self.me.upgrade()) {
            runtime.spawn(async move {
                let mut book = policies.book.lock().await;
                policies.settle_condemned(&mut book).await;
            });
        }
    }

    /// Remembers what was condemned, and finds versions to stand in where none was at hand.
    pub(super) async fn settle_condemned(&self, book: &mut Book) {
        let condemned = std::mem::take(&mut *self.condemned.lock().unwrap_or_else(PoisonError::into_inner));
        if condemned.is_empty() {
            return;
        }
        // Where the directory cannot be read, no policy is taken for retired.
        let Ok(files) = policy_files(&self.options.directory) else {
            self.condemned.lock().unwrap_or_else(PoisonError::into_inner).extend(condemned);
            return;
        };
        for Condemned { name, digest, reason } in condemned {
            let registry = self.registry();
            let Some(slot) = registry.named(&name) else { continue };
            let (path, info) = (slot.path().to_owned(), slot.policy.info().clone());
            let policy = book.state.policies.entry(name.clone()).or_insert_with(|| Remembered {
                kind: info.kind,
                file: super::file_name(&path),
                retired_ms: None,
                history: Vec::new(),
                quarantined: Vec::new(),
            });
            if !policy.is_quarantined(&digest) {
                policy.quarantined.push(Quarantined { digest: digest.clone(), when_ms: now_ms(), reason });
                book.fresh_quarantines.insert(digest.clone());
            }
            // The file still holds it, unless another version came meanwhile.
            let holds = book.seen.get(&path).is_some_and(|seen| seen.digest == digest);
            if holds && let Some(failure) = refusal(&book.state, &path, &digest) {
                self.fail(book, failure, None, &HashMap::new(), &mut 0);
            }
            let next = if slot.digest() == digest {
                let good = self.kept_version(book, &name, &path, &digest).await;
                match &good {
                    Some(good) => tracing::warn!(policy = name, digest = good.info().digest, "a kept version serves"),
                    None => tracing::error!(policy = name, "no version is left that could serve"),
                }
                // What serves may have changed while the version was made ready.
                self.registry().with(&name, good.map(Slot::restored))
            } else {
                registry.with(&name, Some(slot.clone()))
            };
            self.remember(book, &next, &files, &BTreeMap::new(), &HashMap::new());
            self.swap(next);
        }
        if let Some(store) = book.writable()
            && let Err(error) = store.save_state(&book.state)
        {
            tracing::warn!("the quarantine cannot be remembered: {error:#}");
        }
        self.tell(book);
    }
}
