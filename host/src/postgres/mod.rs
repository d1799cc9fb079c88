//! Everything that talks to PostgreSQL: sessions, catalog, page reads, row visibility, journal.

pub mod catalog;
mod connect;
pub mod liveness;
pub mod pages;
mod quote;
mod wire;

pub use catalog::{
    CatalogError, PageAccess, ParameterOverride, ServerFacts, index_definition, parameter_overrides, search_parameter,
    server_facts, vector_indexes,
};
pub use connect::{Canceller, ConnectError, Connector, Session};
pub use quote::quote_literal;
pub use wire::{PgTid, SendFormat};
