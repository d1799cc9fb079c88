//! What the commands say.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;

/// As `println!`, which panics where nobody reads any more: `pgheal policy list | head -1`.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::output::write(format_args!("{}\n", format_args!($($text)*))) };
}
pub(super) use say;

/// The same without the end of a line.
macro_rules! say_as_is {
    ($($text:tt)*) => { $crate::cli::output::write(format_args!($($text)*)) };
}
pub(super) use say_as_is;

/// As `eprintln!`, which panics, too. Where nobody listens, nothing is lost.
macro_rules! aside {
    ($($text:tt)*) => { $crate::cli::output::write_aside(format_args!("{}\n", format_args!($($text)*))) };
}
pub(super) use aside;

/// The first line that could not be written.
static FAILURE: Mutex<Option<io::Error>> = Mutex::new(None);

/// Writes to stdout. What cannot be written keeps no command from its work: `finish` tells.
pub(super) fn write(text: fmt::Arguments<'_>) {
    note(io::stdout().lock().write_fmt(text));
}

pub(super) fn write_aside(text: fmt::Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}

/// Whether all that was said has arrived. A reader that has read enough is no failure.
///
/// # Errors
/// The file system is full, or the like.
pub(super) fn finish() -> anyhow::Result<()> {
    note(io::stdout().lock().flush());
    match FAILURE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("stdout cannot be written"),
        _ => Ok(()),
    }
}

fn note(written: io::Result<()>) {
    if let Err(error) = written {
        FAILURE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}
