use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// The right to talk to a database for a while. When it ends, every session that was opened under it ends at once,
/// whatever its job waits for, and none is opened any more: that is how a job is brought to an end whose server does
/// not answer, and how nothing goes on after the lead is lost. It ends with its last handle, too.
#[derive(Clone)]
pub struct Lease {
    ended: Arc<watch::Sender<bool>>,
}

/// What a connector and its sessions hold of it.
#[derive(Clone)]
pub(super) struct Leased {
    ended: watch::Receiver<bool>,
}

impl Lease {
    pub fn new() -> Self {
        Lease { ended: Arc::new(watch::Sender::new(false)) }
    }

    pub fn end(&self) {
        self.ended.send_replace(true);
    }

    pub(super) fn leased(&self) -> Leased {
        Leased { ended: self.ended.subscribe() }
    }
}

impl Default for Lease {
    fn default() -> Self {
        Lease::new()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("ended", &*self.ended.borrow()).finish()
    }
}

impl Leased {
    /// Returns when the lease has ended.
    pub async fn ended(&mut self) {
        // An error means that its last handle is gone.
        let _ = self.ended.wait_for(|ended| *ended).await;
    }

    pub fn has_ended(&self) -> bool {
        *self.ended.borrow() || self.ended.has_changed().is_err()
    }
}
