use crate::pgvector::VectorType;
use crate::pgvector::error::PageFault;
use crate::pgvector::page::{Page, u16_at, u32_at};
use crate::pgvector::store::bit_bytes;

pub(super) const PAGE_ID: u16 = 0xFF84;
const MAGIC: u32 = 0x014F_F1A7;
const VERSION: u32 = 1;
const BYTES: usize = 12;
const MAX_LISTS: u16 = 32_768;
const PAGE_OVERHEAD_BYTES: usize = 24 + 8;
const LINE_POINTER_BYTES: usize = 4;
/// Start page and insert page.
pub(super) const LIST_HEADER_BYTES: usize = 8;

/// The meta page (`IvfflatMetaPageData`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub dimensions: u32,
    pub lists: u32,
    /// Blocks 1 to this hold the lists: a build writes them first, and nothing is ever added to them.
    pub list_pages: u32,
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
        let (dimensions, lists) = (u16_at(bytes, 8), u16_at(bytes, 10));
        if dimensions == 0 || lists == 0 || lists > MAX_LISTS {
            return Err(PageFault::Meta("impossible dimensions or lists"));
        }
        let content_bytes = match vector_type {
            VectorType::Vector => 4 + 4 * usize::from(dimensions),
            VectorType::HalfVec => 4 + 2 * usize::from(dimensions),
            VectorType::Bit => 4 + bit_bytes(dimensions.into()),
            VectorType::SparseVec => return Err(PageFault::Meta("IVFFlat has no opclass for sparsevec")),
        };
        let list_bytes = (LIST_HEADER_BYTES + 4 + content_bytes).next_multiple_of(8) + LINE_POINTER_BYTES;
        let per_page = (page.size() - PAGE_OVERHEAD_BYTES) / list_bytes;
        if per_page == 0 {
            return Err(PageFault::Meta("more dimensions than a page holds"));
        }
        let lists = u32::from(lists);
        Ok(Meta { dimensions: dimensions.into(), lists, list_pages: lists.div_ceil(per_page as u32) })
    }
}
