//! Streams of raw index pages.

mod consume;
mod copy_binary;
mod error;
mod pace;
mod stream;

pub(crate) use copy_binary::CopyParser;
pub use error::PagesError;
pub use pace::Pace;
pub use stream::{PageStream, StreamReport, bare_stream};
