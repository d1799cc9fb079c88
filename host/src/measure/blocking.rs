use tokio::sync::mpsc;

use super::MeasureError;
use crate::model::Progress;

/// Computes off the async threads.
pub(super) async fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, MeasureError> {
    tokio::task::spawn_blocking(work).await.map_err(|panic| MeasureError::Computation(panic.to_string()))
}

/// As `compute`; what the work says of its progress is passed on meanwhile.
pub(super) async fn compute_with_progress<T: Send + 'static>(
    progress: &dyn Progress,
    work: impl FnOnce(&dyn Progress) -> T + Send + 'static,
) -> Result<T, MeasureError> {
    let (sender, mut said) = mpsc::unbounded_channel();
    let task = tokio::task::spawn_blocking(move || work(&Relay(sender)));
    while let Some(said) = said.recv().await {
        match said {
            Said::Phase(name, total) => progress.phase(&name, total),
            Said::Done(position) => progress.done(position),
        }
    }
    task.await.map_err(|panic| MeasureError::Computation(panic.to_string()))
}

enum Said {
    Phase(String, Option<u64>),
    Done(u64),
}

struct Relay(mpsc::UnboundedSender<Said>);

// A receiver that is gone means that nobody waits for the measurement any more.
impl Progress for Relay {
    fn phase(&self, name: &str, total: Option<u64>) {
        let _ = self.0.send(Said::Phase(name.to_owned(), total));
    }

    fn done(&self, position: u64) {
        let _ = self.0.send(Said::Done(position));
    }
}
