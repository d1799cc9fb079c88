use std::collections::HashMap;
use std::time::{Duration, Instant};

/// After so many failures in a row no repair is started for a while.
const FAILURES_TO_TRIP: u32 = 5;
const PAUSE: Duration = Duration::from_secs(3_600);
/// An issue whose repair failed is left alone this long, doubled with every further failure.
const FIRST_COOLDOWN: Duration = Duration::from_secs(1_800);
const MOST_DOUBLINGS: u32 = 6;
/// Between two healings of the same issue: a problem that comes back at once is not healed by repeating.
const AFTER_SUCCESS: Duration = Duration::from_secs(300);

/// Keeps the loop from repeating what does not work.
#[derive(Default)]
pub(super) struct CircuitBreaker {
    issues: HashMap<String, Attempts>,
    failures_in_a_row: u32,
    open_until: Option<Instant>,
}

struct Attempts {
    failures: u32,
    not_before: Instant,
}

impl CircuitBreaker {
    pub(super) fn allows(&self, issue_id: &str) -> bool {
        let now = Instant::now();
        self.open_until.is_none_or(|until| now >= until)
            && self.issues.get(issue_id).is_none_or(|a| now >= a.not_before)
    }

    pub(super) fn started(&mut self, issue_id: &str) {
        self.wait(issue_id, AFTER_SUCCESS);
    }

    pub(super) fn ended(&mut self, issue_id: &str, healed: bool) {
        if healed {
            self.failures_in_a_row = 0;
            self.issues.remove(issue_id);
            self.wait(issue_id, AFTER_SUCCESS);
            return;
        }
        self.failures_in_a_row += 1;
        let failures = self.issues.get(issue_id).map_or(0, |a| a.failures) + 1;
        let cooldown = FIRST_COOLDOWN * 2_u32.pow((failures - 1).min(MOST_DOUBLINGS));
        self.issues.insert(issue_id.to_owned(), Attempts { failures, not_before: Instant::now() + cooldown });
        if self.failures_in_a_row >= FAILURES_TO_TRIP {
            tracing::error!(
                failures = self.failures_in_a_row,
                pause_secs = PAUSE.as_secs(),
                "too many repairs failed in a row: none is started for a while"
            );
            self.open_until = Some(Instant::now() + PAUSE);
            self.failures_in_a_row = 0;
        }
    }

    fn wait(&mut self, issue_id: &str, time: Duration) {
        let not_before = Instant::now() + time;
        self.issues
            .entry(issue_id.to_owned())
            .and_modify(|a| a.not_before = not_before)
            .or_insert(Attempts { failures: 0, not_before });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_issue_cools_down_and_others_go_on() {
        let mut breaker = CircuitBreaker::default();
        assert!(breaker.allows("a"));
        breaker.started("a");
        breaker.ended("a", false);
        assert!(!breaker.allows("a"));
        assert!(breaker.allows("b"));
    }

    #[test]
    fn failures_in_a_row_stop_all_and_a_success_resets_the_count() {
        let mut breaker = CircuitBreaker::default();
        for i in 0..FAILURES_TO_TRIP - 1 {
            breaker.ended(&format!("issue {i}"), false);
        }
        breaker.ended("good", true);
        breaker.ended("next", false);
        assert!(breaker.allows("other"));
        for i in 0..FAILURES_TO_TRIP - 1 {
            breaker.ended(&format!("again {i}"), false);
        }
        assert!(!breaker.allows("other"));
    }
}
