//! What serves.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::now_ms;
use crate::components::load::Loaded;

/// Replaced as a whole, so that a reader sees one consistent set. In the order of the files.
#[derive(Default)]
pub(in crate::components) struct Registry {
    pub(super) slots: Vec<Slot>,
}

/// A policy in service.
#[derive(Clone)]
pub(in crate::components) struct Slot {
    pub(in crate::components) policy: Loaded,
    /// The version that served before, ready to serve again at once.
    pub(super) fallback: Option<Loaded>,
    /// It stands in for its file's version, which cannot serve.
    pub(super) restored: bool,
    pub(super) since_ms: u64,
}

/// A file whose policy has a name that another file's policy has.
pub(super) struct Conflict {
    pub(super) path: PathBuf,
    pub(super) digest: String,
    pub(super) reason: String,
}

impl Slot {
    fn new(policy: Loaded, before: Option<&Slot>) -> Self {
        Slot {
            policy,
            fallback: before.map(|slot| slot.policy.clone()).filter(|policy| !policy.version().is_quarantined()),
            restored: false,
            since_ms: now_ms(),
        }
    }

    pub(super) fn restored(policy: Loaded) -> Self {
        Slot { policy, fallback: None, restored: true, since_ms: now_ms() }
    }

    pub(super) fn name(&self) -> &str {
        &self.policy.info().name
    }

    pub(super) fn path(&self) -> &Path {
        &self.policy.info().path
    }

    pub(super) fn digest(&self) -> &str {
        &self.policy.info().digest
    }

    /// The slot once its version is in quarantine: with the version before, where that is at hand.
    pub(super) fn without_quarantined(&self) -> Option<Slot> {
        let good = self.fallback.as_ref().filter(|policy| !policy.version().is_quarantined())?;
        Some(Slot::restored(good.clone()))
    }
}

impl Registry {
    /// What is not disabled.
    pub(in crate::components) fn asked(&self) -> impl Iterator<Item = &Loaded> {
        self.slots.iter().map(|slot| &slot.policy).filter(|policy| policy.info().enabled)
    }

    pub(super) fn at(&self, path: &Path) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.path() == path)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.name() == name)
    }

    /// This registry with `slot` in the place of what has its name; None takes that out.
    pub(super) fn with(&self, name: &str, slot: Option<Slot>) -> Registry {
        let mut slots: Vec<Slot> = self.slots.iter().filter(|present| present.name() != name).cloned().collect();
        slots.extend(slot);
        slots.sort_by(|a, b| a.path().cmp(b.path()));
        Registry { slots }
    }

    /// What is to serve where `files` are there and `new` was loaded from some of them. A file that gave nothing new
    /// keeps what it has; a policy without a file goes.
    pub(super) fn next(&self, files: &[PathBuf], new: &BTreeMap<PathBuf, Loaded>) -> (Registry, Vec<Conflict>) {
        let mut chosen: BTreeMap<&Path, Slot> = BTreeMap::new();
        let mut holders: HashMap<String, &Path> = HashMap::new();
        let mut renamed: Vec<(&Path, &Loaded)> = Vec::new();
        // Nobody takes the name of a policy that keeps it.
        for path in files {
            let slot = match (self.at(path), new.get(path)) {
                (Some(slot), Some(loaded)) if loaded.info().name != slot.name() => {
                    renamed.push((path, loaded));
                    continue;
                }
                (None, Some(loaded)) => {
                    renamed.push((path, loaded));
                    continue;
                }
                (Some(slot), Some(loaded)) if loaded.info().digest == slot.digest() && !slot.restored => slot.clone(),
                (before @ Some(_), Some(loaded)) => Slot::new(loaded.clone(), before),
                (Some(slot), None) => slot.clone(),
                (None, None) => continue,
            };
            holders.insert(slot.name().to_owned(), path);
            chosen.insert(path, slot);
        }
        let mut conflicts = Vec::new();
        for (path, loaded) in renamed {
            let info = loaded.info();
            if let Some(holder) = holders.get(&info.name) {
                let reason = format!("the name {} is taken by {}", info.name, holder.display());
                conflicts.push(Conflict { path: path.to_owned(), digest: info.digest.clone(), reason });
                // What the file held before serves on, unless its name is gone, too.
                if let Some(slot) = self.at(path).filter(|slot| !holders.contains_key(slot.name())) {
                    holders.insert(slot.name().to_owned(), path);
                    chosen.insert(path, slot.clone());
                }
                continue;
            }
            // The same policy in another file now.
            let before = self.named(&info.name);
            holders.insert(info.name.clone(), path);
            chosen.insert(path, Slot::new(loaded.clone(), before));
        }
        (Registry { slots: chosen.into_values().collect() }, conflicts)
    }

    /// No version in quarantine serves on where there is a better one.
    pub(super) fn without_quarantined(self) -> Registry {
        let slots = self.slots.into_iter().map(|slot| {
            if slot.policy.version().is_quarantined() { slot.without_quarantined().unwrap_or(slot) } else { slot }
        });
        Registry { slots: slots.collect() }
    }
}
