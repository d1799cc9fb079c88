//! PostgreSQL with pgvector for the tests, the demo and the benches, and the data to fill it with.
//! Knows nothing of pgheal: what is measured here is measured by other code than the product's.

mod account;
mod client;
mod data;
mod frozen;
mod install;
mod quality;
pub mod scenarios;
mod server;
mod wheel;

pub use client::{Client, VectorParam, execute, single};
pub use data::embeddings::Embeddings;
pub use data::generate::{expand_real, noisy_copies, project, spread, tight_groups};
pub use data::load::{Column, Row, load};
pub use frozen::Frozen;
pub use install::Install;
pub use quality::{Neighbours, Quality, exact_neighbours, probe_rows, scan_quality};
pub use server::{Server, ServerOptions};
pub use wheel::Wheel;
