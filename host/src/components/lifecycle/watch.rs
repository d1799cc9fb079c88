//! Noticing that the directory changes.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Notify, oneshot};

use super::durable;
use super::file_name;
use crate::components::Policies;

/// A copy that is being written makes many events; it is looked at when they end.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// A file that is written to without end is looked at nevertheless.
const DEBOUNCE_AT_MOST: Duration = Duration::from_millis(500);
/// Events may get lost: a network's file system, a full queue, a directory that was replaced.
const RESCAN: Duration = Duration::from_secs(30);
/// Where there are no events at all.
const RESCAN_UNWATCHED: Duration = Duration::from_secs(2);

/// A directory is served while this lives.
pub struct Watching {
    stop: Arc<Notify>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Watching {
    /// Stops, and waits until another process can serve the directory.
    pub async fn stop(mut self) {
        self.stop.notify_one();
        if let Some(ended) = self.ended.take() {
            // An error means that the thread is gone, too.
            let _ = ended.await;
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stop.notify_one();
    }
}

impl Policies {
    /// Serves the directory: what changes there is loaded, and what served is remembered. Returns when the first look is
    /// done. Another process that serves the same directory keeps the memory to itself; the policies work all the same.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub async fn serve(self: &Arc<Self>) -> Result<Watching> {
        let stop = Arc::new(Notify::new());
        let (ready, is_ready) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let (policies, stopped) = (Arc::clone(self), Arc::clone(&stop));
        self.watched.store(true, Relaxed);
        // A thread of its own: neither reading nor syncing files holds up what runs on the other threads.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        thread::Builder::new()
            .name("policy-watcher".to_owned())
            .spawn(move || {
                runtime.block_on(watch(&policies, &stopped, ready));
                policies.watched.store(false, Relaxed);
                runtime.block_on(async { policies.book.lock().await.lock = None });
                // Nobody may be waiting.
                let _ = end.send(());
                // A compilation may still be running.
                runtime.shutdown_background();
            })
            .context("the thread that watches the policies cannot be started")?;
        is_ready.await.context("the thread that watches the policies has ended")?;
        Ok(Watching { stop, ended: Some(ended) })
    }
}

async fn watch(policies: &Arc<Policies>, stop: &Notify, ready: oneshot::Sender<()>) {
    let directory = &policies.options.directory;
    // Before the first look, so that nothing falls between.
    let mut events = Events::of(directory, &policies.wake);
    policies.take_over_and_look().await;
    let _ = ready.send(());
    loop {
        let rescan = if events.is_some() { RESCAN } else { RESCAN_UNWATCHED };
        tokio::select! {
            () = stop.notified() => return,
            () = policies.wake.notified() => settle(&policies.wake).await,
            () = tokio::time::sleep(rescan) => {
                if events.as_ref().is_none_or(|events| !events.are_of(directory)) {
                    events = Events::of(directory, &policies.wake).or(events);
                }
            }
        }
        // A look that was begun is brought to its end: it holds no half-finished state over a stop.
        policies.take_over_and_look().await;
    }
}

/// Waits until it is quiet.
async fn settle(wake: &Notify) {
    let began = Instant::now();
    while began.elapsed() < DEBOUNCE_AT_MOST {
        if tokio::time::timeout(DEBOUNCE, wake.notified()).await.is_err() {
            return;
        }
    }
}

impl Policies {
    async fn take_over_and_look(&self) {
        {
            let mut book = self.book.lock().await;
            self.take_over(&mut book);
        }
        self.reconcile().await;
    }
}

/// The kernel's events of one directory.
struct Events {
    /// Which directory, should another one take its place.
    inode: Option<(u64, u64)>,
    _watcher: RecommendedWatcher,
}

impl Events {
    fn of(directory: &Path, wake: &Arc<Notify>) -> Option<Events> {
        let told = Arc::clone(wake);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // An error may mean that events were lost.
            if event.is_ok_and(|event| !concerns_policies(&event)) {
                return;
            }
            told.notify_one();
        });
        let watcher = watcher.and_then(|mut watcher| {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match watcher {
            Ok(watcher) => Some(Events { inode: inode(directory), _watcher: watcher }),
            Err(error) => {
                tracing::warn!(
                    "changes in {} are noticed only every {RESCAN_UNWATCHED:?}: {error}",
                    directory.display()
                );
                None
            }
        }
    }

    fn are_of(&self, directory: &Path) -> bool {
        self.inode.is_some() && self.inode == inode(directory)
    }
}

/// Reading is no change, and neither are the state directory and unfinished files.
fn concerns_policies(event: &notify::Event) -> bool {
    let is_own = |path: &Path| {
        let name = file_name(path);
        name == ".pgheal" || durable::is_unfinished(&name)
    };
    !matches!(event.kind, EventKind::Access(notify::event::AccessKind::Open(_) | notify::event::AccessKind::Read))
        && !matches!(event.kind, EventKind::Access(notify::event::AccessKind::Close(notify::event::AccessMode::Read)))
        && (event.paths.is_empty() || !event.paths.iter().all(|path| is_own(path)))
}

fn inode(directory: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(directory).ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};

    #[test]
    fn only_changes_of_policies_wake() {
        let check = |kind: EventKind, paths: &[&str], expected: bool| {
            let event = paths.iter().fold(notify::Event::new(kind), |event, path| event.add_path(path.into()));
            assert_eq!(concerns_policies(&event), expected, "{event:?}");
        };
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::Both));
        check(EventKind::Create(CreateKind::File), &["/p/a.wasm"], true);
        check(EventKind::Create(CreateKind::File), &["/p/.a.wasm.12-0.unfinished"], false);
        check(renamed, &["/p/.a.wasm.12-0.unfinished", "/p/a.wasm"], true);
        check(renamed, &["/p/..data"], true);
        check(EventKind::Create(CreateKind::Folder), &["/p/.pgheal"], false);
        check(EventKind::Access(AccessKind::Close(AccessMode::Write)), &["/p/a.wasm"], true);
        check(EventKind::Access(AccessKind::Close(AccessMode::Read)), &["/p/a.wasm"], false);
        check(EventKind::Access(AccessKind::Open(AccessMode::Any)), &["/p/a.wasm"], false);
        check(EventKind::Other, &[], true);
    }
}
