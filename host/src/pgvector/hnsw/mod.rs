//! HNSW indexes: pages (`meta`, `tuple`, `reader`), graph (`index`), scores (`health`), search.

mod health;
mod index;
mod meta;
mod reader;
mod scratch;
mod search;
mod suspicious;
mod tuple;

pub use health::GraphHealth;
pub use index::HnswIndex;
pub use reader::HnswReader;
pub(crate) use scratch::ScratchPool;

#[cfg(any(test, fuzzing))]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
