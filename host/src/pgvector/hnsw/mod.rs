//! HNSW indexes: pages, graph, health and search.

mod health;

pub use health::GraphHealth;

use super::{PageError, ReaderOptions};

pub struct HnswReader {
    options: ReaderOptions,
}

impl HnswReader {
    pub fn new(options: ReaderOptions) -> Self {
        HnswReader { options }
    }

    pub fn push_page(&mut self, block: u32, page: &[u8]) -> Result<(), PageError> {
        todo!("{block} {page:?} {:?}", self.options)
    }

    pub fn suspicious_blocks(&self) -> Vec<u32> {
        todo!()
    }

    pub fn finish(self) -> Result<HnswIndex, PageError> {
        todo!()
    }
}

#[derive(Debug)]
pub struct HnswIndex;
