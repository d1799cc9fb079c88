use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Counts the CPU time of a policy's own code: the polls of the call, without the polls of host functions within it.
/// Neither waiting nor a busy machine counts.
pub(super) struct Meter {
    /// Finished polls of the call, in ns.
    polled_ns: AtomicU64,
    /// Polls of host functions, in ns.
    host_ns: AtomicU64,
    /// The thread's CPU time when the running poll began, in ns. A poll stays on its thread.
    poll_began_ns: AtomicU64,
}

impl Meter {
    pub(super) fn new() -> Self {
        Meter { polled_ns: AtomicU64::new(0), host_ns: AtomicU64::new(0), poll_began_ns: AtomicU64::new(0) }
    }

    /// Guest time so far; called from within the call.
    pub(super) fn guest_time(&self) -> Duration {
        let running = cpu_ns().saturating_sub(self.poll_began_ns.load(Relaxed));
        Duration::from_nanos((self.polled_ns.load(Relaxed) + running).saturating_sub(self.host_ns.load(Relaxed)))
    }

    /// Runs a whole call under the meter.
    pub(super) async fn call<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            let began = cpu_ns();
            self.poll_began_ns.store(began, Relaxed);
            let polled = future.as_mut().poll(context);
            self.polled_ns.fetch_add(cpu_ns().saturating_sub(began), Relaxed);
            polled
        })
        .await
    }

    /// Runs a host function within the call.
    pub(super) async fn host<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            let began = cpu_ns();
            let polled = future.as_mut().poll(context);
            self.host_ns.fetch_add(cpu_ns().saturating_sub(began), Relaxed);
            polled
        })
        .await
    }
}

/// CPU time of this thread.
fn cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call only writes to `time`, which outlives it.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) } != 0;
    if failed {
        // Every Linux since 2.6 has the clock. Real time is the stricter budget.
        static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        return BEGIN.elapsed().as_nanos() as u64;
    }
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_guests_own_polls_count() {
        let meter = Meter::new();
        let enough = Duration::from_millis(20);
        let (before, after) = meter
            .call(async {
                while meter.guest_time() < enough {}
                let before = meter.guest_time();
                meter
                    .host(async {
                        let began = cpu_ns();
                        while Duration::from_nanos(cpu_ns() - began) < enough {}
                        tokio::time::sleep(enough).await;
                    })
                    .await;
                (before, meter.guest_time())
            })
            .await;
        assert!(before >= enough, "{before:?}");
        assert!(after - before < enough / 2, "{before:?}, {after:?}");
    }
}
