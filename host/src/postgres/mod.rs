//! Everything that talks to PostgreSQL: sessions, catalog, page reads, row visibility, journal.

pub mod catalog;
mod connect;
pub mod journal;
mod lease;
pub mod liveness;
mod locks;
pub mod pages;
mod quote;
mod settings;
mod wire;

pub use catalog::{
    CatalogError, PageAccess, ParameterOverride, ServerFacts, index_definition, parameter_overrides, search_parameter,
    server_facts, vector_indexes,
};
pub use connect::{Canceller, ConnectError, Connector, Session};
pub use journal::{
    Action, Backend, Journal, JournalError, NewRepair, NewRequest, Step, StepRecord, StepState, TableName, Undo,
};
pub use lease::Lease;
pub use locks::Leadership;
pub use quote::quote_literal;
pub use settings::{apply_settings, describe_error};
pub use wire::{PgTid, SendFormat};
