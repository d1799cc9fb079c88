use crate::pgvector::VectorType;
use crate::pgvector::error::PageFault;
use crate::pgvector::page::{Page, u16_at, u32_at};

pub(super) const PAGE_ID: u16 = 0xFF90;
const MAGIC: u32 = 0xA953_A953;
const VERSION: u32 = 1;
const BYTES: usize = 28;
const INVALID_BLOCK: u32 = u32::MAX;

/// The meta page (`HnswMetaPageData`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub dimensions: u32,
    pub m: u16,
    pub ef_construction: u16,
    /// The entry point's block and offset. Its level is read from the element, as pgvector does.
    pub entry: Option<(u32, u16)>,
}

impl Meta {
    pub fn decode(page: &Page, vector_type: VectorType) -> Result<Self, PageFault> {
        let bytes = page.contents();
        if bytes.len() < BYTES {
            return Err(PageFault::Meta("it is cut off"));
        }
        let magic = u32_at(bytes, 0);
        if magic != MAGIC {
            return Err(PageFault::Magic { found: magic, expected: MAGIC });
        }
        if u32_at(bytes, 4) != VERSION {
            return Err(PageFault::Version(u32_at(bytes, 4)));
        }
        let (dimensions, m) = (u32_at(bytes, 8), u16_at(bytes, 12));
        if dimensions == 0 || dimensions > max_dimensions(vector_type) {
            return Err(PageFault::Meta("impossible dimensions"));
        }
        if !(2..=100).contains(&m) {
            return Err(PageFault::Meta("m is not within 2 to 100"));
        }
        let (block, offset) = (u32_at(bytes, 16), u16_at(bytes, 20));
        let entry = (block != INVALID_BLOCK).then_some((block, offset));
        Ok(Meta { dimensions, m, ef_construction: u16_at(bytes, 14), entry })
    }

    /// Whether another meta page is of the same build of the index.
    pub fn same_build(&self, other: &Meta) -> bool {
        (self.dimensions, self.m, self.ef_construction) == (other.dimensions, other.m, other.ef_construction)
    }

    /// Slots of one layer's neighbour list: 2m at level 0, m above.
    pub fn layer_slots(&self, layer: u8) -> usize {
        usize::from(self.m) * if layer == 0 { 2 } else { 1 }
    }

    /// Slots of a whole neighbour tuple.
    pub fn slots(&self, level: u8) -> usize {
        (usize::from(level) + 2) * usize::from(self.m)
    }
}

fn max_dimensions(vector_type: VectorType) -> u32 {
    match vector_type {
        VectorType::Vector => 2_000,
        VectorType::HalfVec => 4_000,
        VectorType::Bit => 64_000,
        VectorType::SparseVec => 1_000_000_000,
    }
}
