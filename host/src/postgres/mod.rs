//! Everything that talks to PostgreSQL: sessions, catalog, page reads, journal.

mod connect;
pub mod journal;
mod locks;
mod settings;

pub use connect::{Canceller, ConnectError, Connector, Session};
pub use journal::{Journal, JournalError};
pub use locks::Leadership;
pub use settings::{apply_settings, describe_error};
