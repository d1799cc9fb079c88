//! Second opinions, written apart from the product: nothing here uses its code.

pub mod hnsw;
