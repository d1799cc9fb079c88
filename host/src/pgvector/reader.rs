use crate::model::AccessMethod;

use super::{DecodedIndex, HnswReader, IvfflatReader, PageError, ReaderOptions};

/// A reader of either access method.
// There is one reader a measurement: its size on the stack does not matter.
#[allow(clippy::large_enum_variant)]
pub enum IndexReader {
    Hnsw(HnswReader),
    Ivfflat(IvfflatReader),
}

impl IndexReader {
    pub fn new(method: AccessMethod, options: ReaderOptions) -> Self {
        match method {
            AccessMethod::Hnsw => IndexReader::Hnsw(HnswReader::new(options)),
            AccessMethod::Ivfflat => IndexReader::Ivfflat(IvfflatReader::new(options)),
        }
    }

    /// Takes one page, in any order; a block that is pushed again replaces what it gave before. An error leaves
    /// nothing of the page behind, and the block counts as undecodable until it is pushed again.
    pub fn push_page(&mut self, block: u32, page: &[u8]) -> Result<(), PageError> {
        match self {
            IndexReader::Hnsw(reader) => reader.push_page(block, page),
            IndexReader::Ivfflat(reader) => reader.push_page(block, page),
        }
    }

    /// Blocks to read again before `finish`, ascending: pages could change between the reading of one and of
    /// another. What is still suspicious after that is real.
    pub fn suspicious_blocks(&self) -> Vec<u32> {
        match self {
            IndexReader::Hnsw(reader) => reader.suspicious_blocks(),
            IndexReader::Ivfflat(reader) => reader.suspicious_blocks(),
        }
    }

    /// # Errors
    /// Where the meta page (or the list pages of an IVFFlat index) could not be decoded. Other undecodable pages
    /// are counted in the health.
    pub fn finish(self) -> Result<DecodedIndex, PageError> {
        match self {
            IndexReader::Hnsw(reader) => reader.finish().map(DecodedIndex::Hnsw),
            IndexReader::Ivfflat(reader) => reader.finish().map(DecodedIndex::Ivfflat),
        }
    }
}
