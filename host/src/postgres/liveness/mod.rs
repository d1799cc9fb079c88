//! Which heap rows a new snapshot sees, asked by the TIDs that an index holds: the roots of HOT chains.

mod heap_page;
mod resolver;

pub use resolver::{LivenessError, RowVisibility};
