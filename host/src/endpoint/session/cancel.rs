use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::Notify;

type Key = (i32, Bytes);

/// Which sessions there are, for requests to cancel their statements: those come over connections of their own, and
/// prove with a secret key whose they are.
#[derive(Debug, Default)]
pub struct Cancels {
    sessions: Mutex<HashMap<Key, Arc<Notify>>>,
    last_pid: AtomicI32,
}

/// A session that can be cancelled; it is forgotten with this value.
#[derive(Debug)]
pub struct Registered {
    pub pid: i32,
    pub key: Bytes,
    /// Wakes whoever waits for it, when a request comes. One that comes between statements is none.
    pub asked: Arc<Notify>,
    cancels: Arc<Cancels>,
}

impl Cancels {
    /// A new session, with a key of that length; None where the system gives no random numbers.
    pub fn register(self: &Arc<Self>, key_bytes: usize) -> Option<Registered> {
        let mut key = vec![0; key_bytes];
        SystemRandom::new().fill(&mut key).ok()?;
        let pid = self.last_pid.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        let registered = Registered { pid, key: key.into(), asked: Arc::new(Notify::new()), cancels: Arc::clone(self) };
        self.sessions().insert((pid, registered.key.clone()), Arc::clone(&registered.asked));
        Some(registered)
    }

    /// Cancels what that session does; nothing where there is no such session.
    pub fn cancel(&self, pid: i32, key: &Bytes) {
        if let Some(asked) = self.sessions().get(&(pid, key.clone())) {
            asked.notify_waiters();
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Key, Arc<Notify>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.cancels.sessions().remove(&(self.pid, self.key.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_key_cancels() {
        let cancels = Arc::new(Cancels::default());
        let session = cancels.register(32).unwrap();
        let check = async |pid: i32, key: Bytes, expected: bool| {
            let mut asked = std::pin::pin!(session.asked.notified());
            asked.as_mut().enable();
            cancels.cancel(pid, &key);
            let waited = tokio::time::timeout(std::time::Duration::from_millis(1), asked).await;
            assert_eq!(waited.is_ok(), expected);
        };
        check(session.pid, session.key.clone(), true).await;
        check(session.pid + 1, session.key.clone(), false).await;
        check(session.pid, Bytes::from_static(b"wrong"), false).await;
        let (pid, key) = (session.pid, session.key.clone());
        drop(session);
        assert!(!cancels.sessions().contains_key(&(pid, key)));
    }
}
