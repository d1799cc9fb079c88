//! IVFFlat indexes: pages, lists, health and search.

mod health;

pub use health::ClusterHealth;

use super::{PageError, ReaderOptions};

pub struct IvfflatReader {
    options: ReaderOptions,
}

impl IvfflatReader {
    pub fn new(options: ReaderOptions) -> Self {
        IvfflatReader { options }
    }

    pub fn push_page(&mut self, block: u32, page: &[u8]) -> Result<(), PageError> {
        todo!("{block} {page:?} {:?}", self.options)
    }

    pub fn suspicious_blocks(&self) -> Vec<u32> {
        todo!()
    }

    pub fn finish(self) -> Result<IvfflatIndex, PageError> {
        todo!()
    }
}

#[derive(Debug)]
pub struct IvfflatIndex;
