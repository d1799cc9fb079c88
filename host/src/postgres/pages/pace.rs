use std::time::Duration;

/// How fast pages are read. A full pass goes through shared buffers without a ring, so an index that is large
/// against them would push out what users need: such a pass is slowed down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// An index larger than this share of shared_buffers is read at `bytes_per_second`; infinity never slows down.
    pub above_share_of_shared_buffers: f64,
    pub bytes_per_second: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { above_share_of_shared_buffers: 0.5, bytes_per_second: 256 << 20 }
    }
}

impl Pace {
    pub const UNLIMITED: Pace = Pace { above_share_of_shared_buffers: f64::INFINITY, bytes_per_second: u64::MAX };

    pub fn slows_down(&self, index_bytes: u64, shared_buffers_bytes: u64) -> bool {
        self.bytes_per_second > 0
            && index_bytes as f64 > self.above_share_of_shared_buffers * shared_buffers_bytes as f64
    }

    /// How long to wait after `bytes` took `elapsed`, so that the rate is kept.
    pub fn rest(&self, bytes: u64, elapsed: Duration) -> Duration {
        let due = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        due.saturating_sub(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pace: Pace, index_mb: u64, buffers_mb: u64, expected: bool) {
        assert_eq!(pace.slows_down(index_mb << 20, buffers_mb << 20), expected);
    }

    #[test]
    fn large_indexes_are_read_slowly() {
        check(Pace::default(), 64, 128, false);
        check(Pace::default(), 65, 128, true);
        check(Pace::UNLIMITED, 1 << 20, 128, false);
    }

    #[test]
    fn the_rate_is_kept() {
        let pace = Pace { above_share_of_shared_buffers: 0.0, bytes_per_second: 1_000 };
        assert_eq!(pace.rest(500, Duration::from_millis(100)), Duration::from_millis(400));
        assert_eq!(pace.rest(500, Duration::from_millis(900)), Duration::ZERO);
    }
}
