use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Counts the time in which a policy's own code runs: the polls of the call, without the polls of host
/// functions within it. Time spent waiting, for the host or for a thread, is nobody's.
pub(super) struct Meter {
    begin: Instant,
    /// Finished polls of the call, in ns.
    polled_ns: AtomicU64,
    /// Polls of host functions, in ns.
    host_ns: AtomicU64,
    /// When the running poll began, in ns since `begin`.
    poll_began_ns: AtomicU64,
}

impl Meter {
    pub(super) fn new() -> Self {
        Meter {
            begin: Instant::now(),
            polled_ns: AtomicU64::new(0),
            host_ns: AtomicU64::new(0),
            poll_began_ns: AtomicU64::new(0),
        }
    }

    /// Guest time so far; called from within the call.
    pub(super) fn guest_time(&self) -> Duration {
        let running = self.now_ns().saturating_sub(self.poll_began_ns.load(Relaxed));
        Duration::from_nanos((self.polled_ns.load(Relaxed) + running).saturating_sub(self.host_ns.load(Relaxed)))
    }

    /// Runs a whole call under the meter.
    pub(super) async fn call<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            let began = self.now_ns();
            self.poll_began_ns.store(began, Relaxed);
            let polled = future.as_mut().poll(context);
            self.polled_ns.fetch_add(self.now_ns() - began, Relaxed);
            polled
        })
        .await
    }

    /// Runs a host function within the call.
    pub(super) async fn host<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            let began = self.now_ns();
            let polled = future.as_mut().poll(context);
            self.host_ns.fetch_add(self.now_ns() - began, Relaxed);
            polled
        })
        .await
    }

    fn now_ns(&self) -> u64 {
        self.begin.elapsed().as_nanos() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_guests_own_polls_count() {
        let meter = Meter::new();
        let spin = |ms| {
            let end = Instant::now() + Duration::from_millis(ms);
            while Instant::now() < end {}
        };
        let guest = meter
            .call(async {
                spin(20);
                meter
                    .host(async {
                        spin(40);
                        tokio::time::sleep(Duration::from_millis(60)).await;
                    })
                    .await;
                meter.guest_time()
            })
            .await;
        assert!(guest >= Duration::from_millis(20), "{guest:?}");
        assert!(guest < Duration::from_millis(60), "{guest:?}");
    }
}
