//! IVFFlat indexes: pages (`meta`, `reader`), lists (`index`), scores (`health`), search.

mod health;
mod index;
mod meta;
mod reader;
mod search;

pub use health::ClusterHealth;
pub use index::IvfflatIndex;
pub use reader::IvfflatReader;
pub(crate) use search::ListSearch;

#[cfg(any(test, fuzzing))]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
