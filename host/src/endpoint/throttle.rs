use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets one event of a kind through in this time; what was held back is counted. Whoever floods the endpoint does not
/// flood the log.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub struct Throttle {
    state: Mutex<(Option<Instant>, u64)>,
}

impl Throttle {
    /// Some where the event is to be logged, with the number of those that were not since the last one.
    pub fn pass(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if state.0.is_some_and(|last| now.duration_since(last) < PAUSE) {
            state.1 += 1;
            return None;
        }
        let held_back = std::mem::take(&mut state.1);
        state.0 = Some(now);
        Some(held_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_of_a_flood_passes() {
        let throttle = Throttle::default();
        assert_eq!(throttle.pass(), Some(0));
        assert!((0..1_000).all(|_| throttle.pass().is_none()));
    }
}
