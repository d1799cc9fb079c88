//! Line pointers and HOT chains of a heap page, as `heap_hot_search_buffer` follows them (`htup_details.h`,
//! `itemid.h`; PostgreSQL 12 to 18, little endian).

const HEADER_BYTES: usize = 24;
const LINE_POINTER_BYTES: usize = 4;
const TUPLE_HEADER_BYTES: usize = 23;
const LP_NORMAL: u32 = 1;
const LP_REDIRECT: u32 = 2;
const HEAP_XMIN_COMMITTED: u16 = 0x0100;
const HEAP_XMIN_INVALID: u16 = 0x0200;
const HEAP_XMAX_INVALID: u16 = 0x0800;
const HEAP_XMAX_IS_MULTI: u16 = 0x1000;
const HEAP_HOT_UPDATED: u16 = 0x4000;
const HEAP_ONLY_TUPLE: u16 = 0x8000;

/// A heap page whose bytes are not trusted.
pub(super) struct HeapPage<'a> {
    bytes: &'a [u8],
    line_pointers: u16,
}

struct TupleHeader {
    xmin: u32,
    xmax: u32,
    next_block: u32,
    next_offset: u16,
    infomask2: u16,
    infomask: u16,
}

impl<'a> HeapPage<'a> {
    /// None where the bytes are no page; a page never written has no line pointers.
    pub(super) fn new(bytes: &'a [u8]) -> Option<Self> {
        let lower = usize::from(u16_at(bytes, 12)?);
        if lower == 0 {
            return Some(HeapPage { bytes, line_pointers: 0 });
        }
        if lower < HEADER_BYTES || lower > bytes.len() {
            return None;
        }
        let line_pointers = u16::try_from((lower - HEADER_BYTES) / LINE_POINTER_BYTES).ok()?;
        Some(HeapPage { bytes, line_pointers })
    }

    /// The offsets of all tuples of the chain that begins at line pointer `root` of block `block`, oldest first.
    /// Empty where the line pointer is dead, unused or not a chain's beginning.
    pub(super) fn chain(&self, block: u32, root: u16) -> Vec<u16> {
        let mut chain = Vec::new();
        let mut offset = root;
        let mut previous_xmax = None;
        while let Some((flags, start)) = self.line_pointer(offset) {
            if flags == LP_REDIRECT && chain.is_empty() && offset == root {
                // A redirect holds the next member's offset where a tuple's place would be.
                let Ok(target) = u16::try_from(start) else { break };
                if target == root {
                    break;
                }
                offset = target;
                continue;
            }
            if flags != LP_NORMAL || chain.contains(&offset) {
                break;
            }
            let Some(tuple) = self.tuple(start) else { break };
            let is_root = offset == root;
            let heap_only = tuple.infomask2 & HEAP_ONLY_TUPLE != 0;
            if is_root == heap_only || previous_xmax.is_some_and(|xmax| xmax != tuple.xmin) {
                break;
            }
            chain.push(offset);
            if !tuple.is_hot_updated() || tuple.next_block != block {
                break;
            }
            // The updater of a multixact is not on the page; the heap-only flag has to do there.
            previous_xmax = (tuple.infomask & HEAP_XMAX_IS_MULTI == 0).then_some(tuple.xmax);
            offset = tuple.next_offset;
        }
        chain
    }

    /// Flags, and where the tuple starts (or the redirect leads).
    fn line_pointer(&self, offset: u16) -> Option<(u32, usize)> {
        if offset == 0 || offset > self.line_pointers {
            return None;
        }
        let raw = u32_at(self.bytes, HEADER_BYTES + (usize::from(offset) - 1) * LINE_POINTER_BYTES)?;
        Some((raw >> 15 & 3, (raw & 0x7fff) as usize))
    }

    fn tuple(&self, start: usize) -> Option<TupleHeader> {
        let raw = self.bytes.get(start..start + TUPLE_HEADER_BYTES)?;
        Some(TupleHeader {
            xmin: u32_at(raw, 0)?,
            xmax: u32_at(raw, 4)?,
            next_block: u32::from(u16_at(raw, 12)?) << 16 | u32::from(u16_at(raw, 14)?),
            next_offset: u16_at(raw, 16)?,
            infomask2: u16_at(raw, 18)?,
            infomask: u16_at(raw, 20)?,
        })
    }
}

impl TupleHeader {
    fn is_hot_updated(&self) -> bool {
        let aborted = self.infomask & (HEAP_XMIN_COMMITTED | HEAP_XMIN_INVALID) == HEAP_XMIN_INVALID;
        self.infomask2 & HEAP_HOT_UPDATED != 0 && self.infomask & HEAP_XMAX_INVALID == 0 && !aborted
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    enum Slot {
        Unused,
        Dead,
        Redirect(u16),
        Tuple { xmin: u32, xmax: u32, next: u16, infomask2: u16, infomask: u16 },
    }

    fn tuple(xmin: u32, xmax: u32, next: u16, infomask2: u16) -> Slot {
        Slot::Tuple { xmin, xmax, next, infomask2, infomask: 0 }
    }

    fn page(block: u32, slots: &[Slot]) -> Vec<u8> {
        let mut page = vec![0; 8192];
        let lower = (HEADER_BYTES + slots.len() * LINE_POINTER_BYTES) as u16;
        page[12..14].copy_from_slice(&lower.to_le_bytes());
        let mut end = 8192;
        for (i, slot) in slots.iter().enumerate() {
            let raw = match slot {
                Slot::Unused => 0,
                Slot::Dead => 3 << 15,
                Slot::Redirect(target) => 2 << 15 | u32::from(*target),
                Slot::Tuple { xmin, xmax, next, infomask2, infomask } => {
                    end -= 32;
                    let t = &mut page[end..];
                    t[0..4].copy_from_slice(&xmin.to_le_bytes());
                    t[4..8].copy_from_slice(&xmax.to_le_bytes());
                    t[12..14].copy_from_slice(&((block >> 16) as u16).to_le_bytes());
                    t[14..16].copy_from_slice(&(block as u16).to_le_bytes());
                    t[16..18].copy_from_slice(&next.to_le_bytes());
                    t[18..20].copy_from_slice(&infomask2.to_le_bytes());
                    t[20..22].copy_from_slice(&infomask.to_le_bytes());
                    32 << 17 | 1 << 15 | end as u32
                }
            };
            let at = HEADER_BYTES + i * LINE_POINTER_BYTES;
            page[at..at + 4].copy_from_slice(&raw.to_le_bytes());
        }
        page
    }

    fn check(slots: &[Slot], root: u16, expected: &[u16]) {
        let block = 70_000;
        let bytes = page(block, slots);
        assert_eq!(HeapPage::new(&bytes).unwrap().chain(block, root), expected);
    }

    #[test]
    fn chains_are_followed() {
        check(&[tuple(10, 0, 1, 0)], 1, &[1]);
        let updated = || tuple(10, 20, 2, HEAP_HOT_UPDATED);
        check(&[updated(), tuple(20, 0, 2, HEAP_ONLY_TUPLE)], 1, &[1, 2]);
        check(&[Slot::Redirect(2), tuple(20, 0, 2, HEAP_ONLY_TUPLE)], 1, &[2]);
        check(
            &[updated(), tuple(20, 30, 3, HEAP_ONLY_TUPLE | HEAP_HOT_UPDATED), tuple(30, 0, 3, HEAP_ONLY_TUPLE)],
            1,
            &[1, 2, 3],
        );
    }

    #[test]
    fn chains_end_where_they_are_broken() {
        check(&[Slot::Dead], 1, &[]);
        check(&[Slot::Unused], 1, &[]);
        check(&[tuple(10, 0, 1, 0)], 2, &[]);
        check(&[Slot::Redirect(1)], 1, &[]);
        // The next slot was reused by another transaction's tuple.
        check(&[tuple(10, 20, 2, HEAP_HOT_UPDATED), tuple(25, 0, 2, HEAP_ONLY_TUPLE)], 1, &[1]);
        // A chain's middle is no root.
        check(&[tuple(20, 0, 1, HEAP_ONLY_TUPLE)], 1, &[]);
        // An update that was rolled back.
        let rolled_back =
            Slot::Tuple { xmin: 10, xmax: 20, next: 2, infomask2: HEAP_HOT_UPDATED, infomask: HEAP_XMAX_INVALID };
        check(&[rolled_back, tuple(20, 0, 2, HEAP_ONLY_TUPLE)], 1, &[1]);
    }

    #[test]
    fn a_multixact_update_is_followed() {
        let locked =
            Slot::Tuple { xmin: 10, xmax: 7, next: 2, infomask2: HEAP_HOT_UPDATED, infomask: HEAP_XMAX_IS_MULTI };
        check(&[locked, tuple(20, 0, 2, HEAP_ONLY_TUPLE)], 1, &[1, 2]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..9000), root: u16, lower in 0u16..600) {
            if bytes.len() > 14 {
                bytes[12..14].copy_from_slice(&lower.to_le_bytes());
            }
            if let Some(page) = HeapPage::new(&bytes) {
                page.chain(3, root);
                page.chain(3, root % 140);
            }
        }
    }
}
