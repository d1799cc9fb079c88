//! What is remembered of policies over a restart (`state.json`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::components::PolicyKind;

pub(super) const FORMAT: u32 = 1;
/// Versions of a policy that are kept to return to.
const VERSIONS_KEPT: usize = 10;
/// A history that returns to the same versions again and again is cut here.
const EVENTS_KEPT: usize = 100;

/// How a version came to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The file appeared or changed.
    File,
    Deploy,
    Rollback,
    /// Put into service in place of a version that cannot serve.
    Restored,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) format: u32,
    /// By name.
    pub(super) policies: BTreeMap<String, Remembered>,
}

impl Default for State {
    fn default() -> Self {
        State { format: FORMAT, policies: BTreeMap::new() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) kind: PolicyKind,
    /// The name of its file in the policy directory.
    pub(super) file: String,
    /// When its file was gone, in ms since 1970.
    #[serde(default)]
    pub(super) retired_ms: Option<u64>,
    /// What served, the oldest first; the last one serves.
    pub(super) history: Vec<Event>,
    #[serde(default)]
    pub(super) quarantined: Vec<Quarantined>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Event {
    pub(super) digest: String,
    pub(super) since_ms: u64,
    pub(super) origin: Origin,
    /// The file that was deployed, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Quarantined {
    pub(super) digest: String,
    pub(super) when_ms: u64,
    pub(super) reason: String,
}

impl State {
    /// Why a version may not serve.
    pub(super) fn quarantine_of(&self, digest: &str) -> Option<&Quarantined> {
        self.policies.values().flat_map(|policy| &policy.quarantined).find(|entry| entry.digest == digest)
    }

    /// Since when this version of the policy serves, over all restarts.
    pub(super) fn since(&self, name: &str, digest: &str) -> Option<u64> {
        let last = self.policies.get(name)?.history.last()?;
        (last.digest == digest).then_some(last.since_ms)
    }

    /// The policy whose file this was.
    pub(super) fn policy_of_file(&self, file: &str) -> Option<(&String, &Remembered)> {
        self.policies.iter().find(|(_, policy)| policy.retired_ms.is_none() && policy.file == file)
    }
}

impl Remembered {
    /// The version that serves, as far as is remembered.
    pub(super) fn active(&self) -> Option<&str> {
        self.history.last().map(|event| event.digest.as_str())
    }

    /// Notes that a version serves; gives the versions that are not needed any more.
    pub(super) fn push(&mut self, event: Event) -> Vec<String> {
        self.history.push(event);
        let mut kept: Vec<&str> = Vec::new();
        let mut first = self.history.len();
        for (position, event) in self.history.iter().enumerate().rev() {
            if !kept.contains(&event.digest.as_str()) {
                if kept.len() == VERSIONS_KEPT {
                    break;
                }
                kept.push(&event.digest);
            }
            if self.history.len() - position > EVENTS_KEPT {
                break;
            }
            first = position;
        }
        let dropped: Vec<Event> = self.history.drain(..first).collect();
        let mut gone: Vec<String> = dropped.into_iter().map(|event| event.digest).collect();
        gone.retain(|digest| self.history.iter().all(|event| event.digest != *digest));
        gone.sort();
        gone.dedup();
        gone
    }

    /// Versions to put into service in place of `instead_of`, the best first.
    pub(super) fn good_versions(&self, instead_of: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for event in self.history.iter().rev() {
            let digest = &event.digest;
            if digest != instead_of && !found.contains(digest) && !self.is_quarantined(digest) {
                found.push(digest.clone());
            }
        }
        found
    }

    /// The version before the one that serves. A rollback or a restoration stands where the version it returned to
    /// first stood, so that the next rollback goes further back and not forth again.
    pub(super) fn version_before_active(&self) -> Option<&str> {
        let active = self.active()?;
        let returned = |event: &Event| matches!(event.origin, Origin::Rollback | Origin::Restored);
        let own = |event: &&Event| event.digest == active && !returned(event);
        let stands = match self.history.last() {
            Some(last) if returned(last) => {
                self.history.iter().enumerate().rev().find(|(_, event)| own(event)).map(|(position, _)| position)?
            }
            _ => self.history.len() - 1,
        };
        self.history[..stands]
            .iter()
            .rev()
            .map(|event| event.digest.as_str())
            .find(|digest| *digest != active && !self.is_quarantined(digest))
    }

    pub(super) fn is_quarantined(&self, digest: &str) -> bool {
        self.quarantined.iter().any(|entry| entry.digest == digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a` served, then `b`; `a<` stands for a rollback to it.
    fn remembered(history: &str) -> Remembered {
        let mut policy = Remembered {
            kind: PolicyKind::Prioritizer,
            file: "p.wasm".to_owned(),
            retired_ms: None,
            history: Vec::new(),
            quarantined: Vec::new(),
        };
        for word in history.split_whitespace() {
            let origin = if word.ends_with('<') { Origin::Rollback } else { Origin::Deploy };
            let digest = word.trim_end_matches('<').to_owned();
            policy.push(Event { digest, since_ms: 1, origin, from: None });
        }
        policy
    }

    #[test]
    fn a_rollback_goes_back_and_never_forth() {
        let check = |history: &str, expected: Option<&str>| {
            assert_eq!(remembered(history).version_before_active(), expected, "{history}");
        };
        check("", None);
        check("a", None);
        check("a b", Some("a"));
        check("a b c", Some("b"));
        check("a b c b<", Some("a"));
        check("a b c b< a<", None);
        check("a b a<", None);
        check("a b c b< d", Some("b"));
        check("a b a", Some("b"));
    }

    #[test]
    fn a_version_in_quarantine_is_not_returned_to() {
        let mut policy = remembered("a b c");
        policy.quarantined.push(Quarantined { digest: "b".to_owned(), when_ms: 1, reason: String::new() });
        assert_eq!(policy.version_before_active(), Some("a"));
        assert_eq!(policy.good_versions("c"), ["a"]);
    }

    #[test]
    fn the_last_ten_versions_are_kept() {
        let mut policy = remembered("0 1 2 3 4 5 6 7 8 9");
        let push = |policy: &mut Remembered, digest: &str| {
            policy.push(Event { digest: digest.to_owned(), since_ms: 1, origin: Origin::File, from: None })
        };
        assert_eq!(push(&mut policy, "10"), ["0"]);
        assert_eq!(push(&mut policy, "1"), Vec::<String>::new());
        assert_eq!(push(&mut policy, "11"), ["2"]);
        for _ in 0..300 {
            push(&mut policy, "1");
            push(&mut policy, "11");
        }
        assert!(policy.history.len() <= EVENTS_KEPT);
    }
}
