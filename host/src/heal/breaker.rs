use std::collections::HashMap;
use std::time::{Duration, Instant};

/// After so many repairs in a row that had to be taken back, none is started for a while.
const FAILURES_TO_TRIP: u32 = 5;
const PAUSE: Duration = Duration::from_secs(3_600);
/// An issue that could not be repaired is left alone this long, doubled with every further try.
const FIRST_COOLDOWN: Duration = Duration::from_secs(1_800);
const MOST_DOUBLINGS: u32 = 6;
/// A repair that helped may be followed by another at once (a rebuild by a re-insertion of the rest), so often.
const SUCCESSES_AT_ONCE: u32 = 3;
/// Then the issue waits: a problem that comes back all the time is not healed by repeating.
const AFTER_SUCCESSES: Duration = Duration::from_secs(3_600);

/// How an issue's repair ended, as far as trying again is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Healed,
    /// No strategy could do anything; nothing was changed.
    NothingDone,
    /// What was done had to be taken back, or could not be.
    Failed,
}

/// Keeps the loop from repeating what does not work.
#[derive(Default)]
pub(super) struct CircuitBreaker {
    issues: HashMap<String, Attempts>,
    failures_in_a_row: u32,
    open_until: Option<Instant>,
}

#[derive(Default)]
struct Attempts {
    failures: u32,
    successes: u32,
    not_before: Option<Instant>,
}

impl CircuitBreaker {
    pub(super) fn allows(&self, issue_id: &str) -> bool {
        let now = Instant::now();
        let waited = |until: Option<Instant>| until.is_none_or(|until| now >= until);
        waited(self.open_until) && self.issues.get(issue_id).is_none_or(|a| waited(a.not_before))
    }

    pub(super) fn ended(&mut self, issue_id: &str, ending: Ending) {
        let now = Instant::now();
        let attempts = self.issues.entry(issue_id.to_owned()).or_default();
        match ending {
            Ending::Healed => {
                self.failures_in_a_row = 0;
                attempts.failures = 0;
                attempts.successes += 1;
                if attempts.successes >= SUCCESSES_AT_ONCE {
                    *attempts = Attempts { not_before: Some(now + AFTER_SUCCESSES), ..Attempts::default() };
                }
            }
            Ending::NothingDone | Ending::Failed => {
                let doublings = attempts.failures.min(MOST_DOUBLINGS);
                attempts.failures += 1;
                attempts.not_before = Some(now + FIRST_COOLDOWN * 2_u32.pow(doublings));
            }
        }
        if ending == Ending::Failed {
            self.failures_in_a_row += 1;
        }
        if self.failures_in_a_row >= FAILURES_TO_TRIP {
            tracing::error!(
                failures = self.failures_in_a_row,
                pause_secs = PAUSE.as_secs(),
                "too many repairs had to be taken back in a row: none is started for a while"
            );
            self.open_until = Some(now + PAUSE);
            self.failures_in_a_row = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issue_that_was_not_repaired_cools_down_and_others_go_on() {
        for ending in [Ending::Failed, Ending::NothingDone] {
            let mut breaker = CircuitBreaker::default();
            assert!(breaker.allows("a"));
            breaker.ended("a", ending);
            assert!(!breaker.allows("a"));
            assert!(breaker.allows("b"));
        }
    }

    #[test]
    fn successes_may_follow_each_other_but_not_for_ever() {
        let mut breaker = CircuitBreaker::default();
        for _ in 0..SUCCESSES_AT_ONCE {
            assert!(breaker.allows("a"));
            breaker.ended("a", Ending::Healed);
        }
        assert!(!breaker.allows("a"));
    }

    #[test]
    fn rollbacks_in_a_row_stop_all_and_a_success_resets_the_count() {
        let mut breaker = CircuitBreaker::default();
        for i in 0..FAILURES_TO_TRIP - 1 {
            breaker.ended(&format!("issue {i}"), Ending::Failed);
        }
        breaker.ended("good", Ending::Healed);
        breaker.ended("next", Ending::Failed);
        for i in 0..FAILURES_TO_TRIP {
            breaker.ended(&format!("idle {i}"), Ending::NothingDone);
        }
        assert!(breaker.allows("other"));
        for i in 0..FAILURES_TO_TRIP - 1 {
            breaker.ended(&format!("again {i}"), Ending::Failed);
        }
        assert!(!breaker.allows("other"));
    }
}
