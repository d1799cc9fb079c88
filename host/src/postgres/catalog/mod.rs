//! What the catalog says: vector indexes, the server, search parameters. Reads only.

mod error;
mod facts;
mod filter;
mod indexes;
mod parameters;

pub use error::CatalogError;
pub use facts::{PageAccess, ServerFacts, server_facts};
pub use indexes::{index_definition, vector_indexes};
pub use parameters::{ParameterOverride, iterative_scan, parameter_overrides, search_parameter};
