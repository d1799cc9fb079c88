//! PostgreSQL's page layout (`bufpage.h`, `itemid.h`), checked before anything is believed.

use super::error::PageFault;

const HEADER_BYTES: usize = 24;
const LINE_POINTER_BYTES: usize = 4;
/// Both access methods: next block u32, unused u16, page id u16.
const SPECIAL_BYTES: usize = 8;
/// PostgreSQL 8.3 and later.
const LAYOUT_VERSION: u16 = 4;
/// PD_HAS_FREE_LINES, PD_PAGE_FULL and PD_ALL_VISIBLE.
const VALID_FLAGS: u16 = 0x0007;
const INVALID_BLOCK: u32 = u32::MAX;

/// A page whose header and special area hold together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page<'a> {
    bytes: &'a [u8],
    lower: usize,
    upper: usize,
    special: usize,
}

impl<'a> Page<'a> {
    /// None: an all-zero page, which PostgreSQL has allocated and never written.
    pub fn parse(bytes: &'a [u8], page_id: u16) -> Result<Option<Self>, PageFault> {
        let size = bytes.len();
        if !(1024..=32768).contains(&size) || !size.is_power_of_two() {
            return Err(PageFault::Size { bytes: size });
        }
        let [flags, lower, upper, special, size_and_version] =
            [10, 12, 14, 16, 18].map(|at| u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        if upper == 0 {
            return match bytes.iter().all(|b| *b == 0) {
                true => Ok(None),
                false => Err(PageFault::Header("a new page that is not empty")),
            };
        }
        if usize::from(size_and_version & 0xFF00) != size {
            return Err(PageFault::Header("the page size in the header is another"));
        }
        if size_and_version & 0x00FF != LAYOUT_VERSION {
            return Err(PageFault::Header("unknown page layout version"));
        }
        if flags & !VALID_FLAGS != 0 {
            return Err(PageFault::Header("unknown flags"));
        }
        let [lower, upper, special] = [lower, upper, special].map(usize::from);
        if special != size - SPECIAL_BYTES {
            return Err(PageFault::Header("the special area is not the one of a pgvector index"));
        }
        if lower < HEADER_BYTES || lower > upper || upper > special || lower % LINE_POINTER_BYTES != 0 {
            return Err(PageFault::Header("the free space lies outside of the page"));
        }
        let found = u16::from_le_bytes([bytes[size - 2], bytes[size - 1]]);
        if found != page_id {
            return Err(PageFault::PageId { found, expected: page_id });
        }
        let page = Page { bytes, lower, upper, special };
        match page.items_are_apart() {
            true => Ok(Some(page)),
            false => Err(PageFault::Header("two line pointers lead to the same bytes")),
        }
    }

    /// Items of a sound page never share bytes; those of a page that is torn between two states may. What each
    /// line pointer says by itself is `item`'s to judge.
    fn items_are_apart(&self) -> bool {
        // `PageAddItem` places each item below the one before.
        let mut below = usize::MAX;
        let descend = self.spans().all(|(start, length)| {
            let is_below = start + length <= below;
            below = start;
            is_below
        });
        if descend {
            return true;
        }
        let mut spans: Vec<(usize, usize)> = self.spans().collect();
        spans.sort_unstable();
        spans.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0)
    }

    /// Where the line pointers in use lead to: start and length, as they are.
    fn spans(&self) -> impl Iterator<Item = (usize, usize)> {
        self.bytes[HEADER_BYTES..self.lower]
            .chunks_exact(LINE_POINTER_BYTES)
            .map(|p| u32::from_le_bytes([p[0], p[1], p[2], p[3]]))
            .filter(|pointer| (pointer >> 15) & 3 == 1)
            .map(|pointer| ((pointer & 0x7FFF) as usize, (pointer >> 17) as usize))
    }

    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// What follows the header, up to the free space: where a meta page keeps its data.
    pub fn contents(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..self.lower]
    }

    pub fn free_bytes(&self) -> usize {
        self.upper - self.lower
    }

    /// The next page of the chain, where there is one.
    pub fn next_block(&self) -> Option<u32> {
        let at = self.special;
        let block = u32::from_le_bytes([self.bytes[at], self.bytes[at + 1], self.bytes[at + 2], self.bytes[at + 3]]);
        (block != INVALID_BLOCK).then_some(block)
    }

    /// Offsets run from 1 to this.
    pub fn item_count(&self) -> u16 {
        // At most 32768 / 4.
        ((self.lower - HEADER_BYTES) / LINE_POINTER_BYTES) as u16
    }

    /// The item at an offset from 1; None where the line pointer is unused.
    pub fn item(&self, offset: u16) -> Result<Option<&'a [u8]>, PageFault> {
        let fault = |what| PageFault::LinePointer { offset, what };
        if offset == 0 || offset > self.item_count() {
            return Err(fault("does not exist"));
        }
        let at = HEADER_BYTES + (usize::from(offset) - 1) * LINE_POINTER_BYTES;
        let pointer = u32::from_le_bytes([self.bytes[at], self.bytes[at + 1], self.bytes[at + 2], self.bytes[at + 3]]);
        let start = (pointer & 0x7FFF) as usize;
        let length = (pointer >> 17) as usize;
        match (pointer >> 15) & 3 {
            0 => return Ok(None),
            1 => {}
            _ => return Err(fault("is redirected or dead, which these access methods never do")),
        }
        if start < self.upper || start + length > self.special || length == 0 {
            return Err(fault("leads outside of the page's items"));
        }
        if !start.is_multiple_of(8) {
            return Err(fault("is not aligned"));
        }
        Ok(Some(&self.bytes[start..start + length]))
    }
}

/// A little-endian u16 of a tuple whose length has been checked.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// A little-endian u32 of a tuple whose length has been checked.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// An `ItemPointerData` (6 bytes) of a tuple whose length has been checked: block and offset; offset 0 is invalid.
pub(crate) fn tid_at(bytes: &[u8], at: usize) -> (u32, u16) {
    let block = (u32::from(u16_at(bytes, at)) << 16) | u32::from(u16_at(bytes, at + 2));
    (block, u16_at(bytes, at + 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pgvector::fixture::PageBuilder;

    const ID: u16 = 0xFF90;

    #[test]
    fn items_and_chain_are_read() {
        let mut builder = PageBuilder::new(8192, ID);
        builder.add(&[1; 20]);
        builder.add(&[2; 9]);
        let bytes = builder.next(7).finish();
        let page = Page::parse(&bytes, ID).unwrap().unwrap();
        assert_eq!(page.item_count(), 2);
        assert_eq!(page.item(1).unwrap(), Some(&[1; 20][..]));
        assert_eq!(page.item(2).unwrap(), Some(&[2; 9][..]));
        assert_eq!(page.next_block(), Some(7));
        assert_eq!(page.free_bytes(), 8192 - 24 - 8 - 8 - 24 - 16);
        assert!(page.item(0).is_err());
        assert!(page.item(3).is_err());
    }

    #[test]
    fn other_block_sizes_are_read() {
        for size in [1024, 4096, 16384, 32768] {
            let mut builder = PageBuilder::new(size, ID);
            builder.add(&[1; 20]);
            let bytes = builder.finish();
            assert_eq!(Page::parse(&bytes, ID).unwrap().unwrap().item_count(), 1, "{size}");
        }
    }

    #[test]
    fn a_zero_page_is_new() {
        assert!(Page::parse(&[0; 8192], ID).unwrap().is_none());
    }

    #[test]
    fn damage_is_named() {
        let valid = || {
            let mut builder = PageBuilder::new(8192, ID);
            builder.add(&[1; 20]);
            builder.finish()
        };
        let check = |at: usize, value: u16, expected: PageFault| {
            let mut bytes = valid();
            bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
            let found = match Page::parse(&bytes, ID) {
                Err(fault) => fault,
                Ok(page) => page.unwrap().item(1).unwrap_err(),
            };
            assert_eq!(found, expected, "{value:#x} at {at}");
        };
        let pointer = |what| PageFault::LinePointer { offset: 1, what };
        check(10, 0x80, PageFault::Header("unknown flags"));
        check(12, 8, PageFault::Header("the free space lies outside of the page"));
        check(12, 8190, PageFault::Header("the free space lies outside of the page"));
        check(14, 0, PageFault::Header("a new page that is not empty"));
        check(16, 8176, PageFault::Header("the special area is not the one of a pgvector index"));
        check(18, 0x2003, PageFault::Header("unknown page layout version"));
        check(18, 0x1004, PageFault::Header("the page size in the header is another"));
        check(8190, 0xFF84, PageFault::PageId { found: 0xFF84, expected: ID });
        check(24, 0x8000 | 8100, pointer("leads outside of the page's items"));
        check(24, 0x8000 | 8164, pointer("is not aligned"));
        check(26, 0xFFFF, pointer("is redirected or dead, which these access methods never do"));
    }

    #[test]
    fn items_may_be_in_any_order_but_not_overlap() {
        let check = |pointers: &[(u32, u32)], expected: bool| {
            let mut builder = PageBuilder::new(8192, ID);
            for _ in pointers {
                let _ = builder.add(&[1; 16]);
            }
            let mut bytes = builder.finish();
            for (i, (start, length)) in pointers.iter().enumerate() {
                let pointer = start | 1 << 15 | length << 17;
                bytes[24 + 4 * i..28 + 4 * i].copy_from_slice(&pointer.to_le_bytes());
            }
            assert_eq!(Page::parse(&bytes, ID).is_ok(), expected, "{pointers:?}");
        };
        check(&[(8168, 16), (8152, 16), (8136, 16)], true);
        check(&[(8136, 16), (8168, 16), (8152, 16)], true);
        check(&[(8168, 16), (8152, 17), (8136, 16)], false);
        check(&[(8136, 17), (8168, 16), (8152, 16)], false);
        check(&[(8168, 16), (8168, 16)], false);
        check(&[(8168, 0), (8168, 16)], true);
    }

    #[test]
    fn what_is_not_a_page_is_refused() {
        for size in [0, 1, 100, 8191, 8193, 65536] {
            assert_eq!(Page::parse(&vec![1; size], ID).unwrap_err(), PageFault::Size { bytes: size });
        }
    }
}
