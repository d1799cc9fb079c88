use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections that may be logging in at a time, even where few sessions are allowed.
const LEAST_PENDING: usize = 16;
/// Places that are kept for administrators and forwarding users, at the most.
const RESERVED: usize = 3;

/// Counts connections and sessions; every place goes back when its value is dropped.
#[derive(Debug, Default)]
pub struct Admission {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    pending: usize,
    sessions: usize,
}

/// A connection that is not logged in yet.
#[derive(Debug)]
pub struct Pending(Arc<Admission>);

/// A session.
#[derive(Debug)]
pub struct Place(Arc<Admission>);

impl Admission {
    /// Lets a connection begin; None where as many as sessions are allowed are logging in already.
    pub fn admit(self: &Arc<Self>, max_connections: usize) -> Option<Pending> {
        let mut counts = self.counts();
        if counts.pending >= max_connections.max(LEAST_PENDING) {
            return None;
        }
        counts.pending += 1;
        Some(Pending(Arc::clone(self)))
    }

    /// Gives a session its place; None where all are taken. The last ones are for those whom `is_privileged` names.
    pub fn seat(self: &Arc<Self>, max_connections: usize, is_privileged: bool) -> Option<Place> {
        let kept = if is_privileged { 0 } else { RESERVED.min(max_connections / 4) };
        let mut counts = self.counts();
        if counts.sessions >= max_connections - kept {
            return None;
        }
        counts.sessions += 1;
        Some(Place(Arc::clone(self)))
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.counts().pending -= 1;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.counts().sessions -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_and_come_back() {
        let check = |max: usize, is_privileged: bool, expected: usize| {
            let admission = Arc::new(Admission::default());
            for _ in 0..2 {
                let places: Vec<Place> =
                    std::iter::from_fn(|| admission.seat(max, is_privileged)).take(max + 1).collect();
                assert_eq!(places.len(), expected, "of {max}");
            }
        };
        check(100, false, 97);
        check(100, true, 100);
        check(4, false, 3);
        check(1, false, 1);
    }

    #[test]
    fn a_flood_of_connections_is_bounded() {
        let admission = Arc::new(Admission::default());
        let flood: Vec<Pending> = std::iter::from_fn(|| admission.admit(2)).take(100).collect();
        assert_eq!(flood.len(), LEAST_PENDING);
        drop(flood);
        assert!(admission.admit(2).is_some());
    }
}
