//! Rows to fill tables with: real embeddings, and what is generated around them.

pub(crate) mod embeddings;
pub(crate) mod generate;
pub(crate) mod load;
