use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::model::{Progress, Silent};

/// A progress bar on stderr, where that is a terminal.
pub(super) fn on_stderr() -> Arc<dyn Progress> {
    if std::io::stderr().is_terminal() { Arc::new(Bar::new()) } else { Arc::new(Silent) }
}

struct Bar {
    bar: Mutex<ProgressBar>,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.enable_steady_tick(Duration::from_millis(120));
        Bar { bar: Mutex::new(bar) }
    }

    fn with(&self, f: impl FnOnce(&ProgressBar)) {
        f(&self.bar.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Progress for Bar {
    fn phase(&self, name: &str, total: Option<u64>) {
        let template = match total {
            Some(_) => "{msg:40} {wide_bar} {pos}/{len} {eta}",
            None => "{msg:40} {spinner} {elapsed}",
        };
        self.with(|bar| {
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_position(0);
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_message(name.to_owned());
        });
    }

    fn done(&self, position: u64) {
        self.with(|bar| bar.set_position(position));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.with(ProgressBar::finish_and_clear);
    }
}
