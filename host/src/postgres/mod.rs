//! Everything that talks to PostgreSQL: sessions, catalog, page reads, journal.

mod connect;

pub use connect::{Canceller, ConnectError, Connector, Session};
