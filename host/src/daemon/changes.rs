use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Whoever writes a file in place makes several events; it is looked at when they end.
const DEBOUNCE: Duration = Duration::from_millis(200);
const DEBOUNCE_AT_MOST: Duration = Duration::from_secs(2);
/// Events may get lost, or not exist at all on a network's file system.
const LOOK: Duration = Duration::from_secs(10);

/// Notices that a file has another content. Its directory is watched, since files are replaced, and links, too.
pub struct Changes {
    path: PathBuf,
    woken: Arc<Notify>,
    content: Option<Vec<u8>>,
    _watcher: Option<RecommendedWatcher>,
}

impl Changes {
    /// From its content as it is now.
    pub fn of(path: &Path) -> Changes {
        let woken = Arc::new(Notify::new());
        let watcher = watcher(path, &woken);
        if let Err(error) = &watcher {
            tracing::warn!("changes of {} are noticed only every {LOOK:?}: {error}", path.display());
        }
        // After the watcher: what is written between is an event.
        Changes { path: path.to_owned(), woken, content: std::fs::read(path).ok(), _watcher: watcher.ok() }
    }

    /// Returns when the content differs from what it was when this was asked last. A file that is gone has not
    /// changed: it is on its way.
    pub async fn next(&mut self) {
        loop {
            if tokio::time::timeout(LOOK, self.woken.notified()).await.is_ok() {
                self.settle().await;
            }
            match std::fs::read(&self.path) {
                Ok(content) if self.content.as_ref() != Some(&content) => {
                    self.content = Some(content);
                    return;
                }
                _ => {}
            }
        }
    }

    async fn settle(&self) {
        let began = Instant::now();
        while began.elapsed() < DEBOUNCE_AT_MOST {
            if tokio::time::timeout(DEBOUNCE, self.woken.notified()).await.is_err() {
                return;
            }
        }
    }
}

fn watcher(path: &Path, woken: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let told = Arc::clone(woken);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading is no change; an error may mean that events were lost.
        if event.is_ok_and(|event| event.kind.is_access()) {
            return;
        }
        told.notify_one();
    })?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_content_is_noticed_and_the_same_one_is_not() {
        let directory = std::env::temp_dir().join(format!("pgheal-changes-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("pgheal.toml");
        std::fs::write(&path, "one").expect("written");
        let mut changes = Changes::of(&path);
        let limit = Duration::from_secs(30);

        std::fs::write(&path, "two").expect("written");
        tokio::time::timeout(limit, changes.next()).await.expect("a change in place");
        let beside = directory.join("new");
        std::fs::write(&beside, "three").expect("written");
        std::fs::rename(&beside, &path).expect("renamed");
        tokio::time::timeout(limit, changes.next()).await.expect("a file in its place");
        std::fs::write(&path, "three").expect("written");
        std::fs::write(directory.join("other"), "four").expect("written");
        let same = tokio::time::timeout(Duration::from_millis(600), changes.next()).await;
        assert!(same.is_err(), "the same content is no change");
        std::fs::remove_dir_all(&directory).expect("removed");
    }
}
