use crate::pgvector::error::PageFault;
use crate::pgvector::page::{tid_at, u16_at};

const ELEMENT_TYPE: u8 = 1;
const NEIGHBOUR_TYPE: u8 = 2;
const HEAP_TIDS: usize = 10;
const ELEMENT_HEADER_BYTES: usize = 72;
const NEIGHBOUR_HEADER_BYTES: usize = 4;
const MAX_LEVEL: u8 = 63;
pub(super) const TID_BYTES: usize = 6;

/// A tuple of a data page.
pub(super) enum Tuple<'a> {
    Element(ElementTuple<'a>),
    Neighbours(NeighbourTuple<'a>),
}

/// `HnswElementTupleData`.
pub(super) struct ElementTuple<'a> {
    pub level: u8,
    pub is_deleted: bool,
    /// 0 in indexes that versions before 0.8 wrote: their neighbour tuples have 0 too.
    pub version: u8,
    /// Block and offset; offset 0 is none.
    pub neighbours: (u32, u16),
    bytes: &'a [u8],
}

/// `HnswNeighborTupleData`.
pub(super) struct NeighbourTuple<'a> {
    pub version: u8,
    pub count: u16,
    /// `count` item pointers.
    pub slots: &'a [u8],
}

impl<'a> Tuple<'a> {
    pub fn decode(bytes: &'a [u8]) -> Result<Self, &'static str> {
        match bytes.first() {
            Some(&ELEMENT_TYPE) => {
                if bytes.len() < ELEMENT_HEADER_BYTES + 4 {
                    return Err("the element is cut off");
                }
                if bytes[1] > MAX_LEVEL {
                    return Err("the element's level is impossible");
                }
                Ok(Tuple::Element(ElementTuple {
                    level: bytes[1],
                    is_deleted: bytes[2] != 0,
                    version: bytes[3],
                    neighbours: tid_at(bytes, 64),
                    bytes,
                }))
            }
            Some(&NEIGHBOUR_TYPE) => {
                if bytes.len() < NEIGHBOUR_HEADER_BYTES {
                    return Err("the neighbour list is cut off");
                }
                let count = u16_at(bytes, 2);
                let end = NEIGHBOUR_HEADER_BYTES + usize::from(count) * TID_BYTES;
                let slots = bytes.get(NEIGHBOUR_HEADER_BYTES..end).ok_or("the neighbour list is cut off")?;
                Ok(Tuple::Neighbours(NeighbourTuple { version: bytes[1], count, slots }))
            }
            _ => Err("neither an element nor a neighbour list"),
        }
    }

    pub fn at_offset(bytes: &'a [u8], offset: u16) -> Result<Self, PageFault> {
        Self::decode(bytes).map_err(|what| PageFault::Tuple { offset, what })
    }
}

impl<'a> ElementTuple<'a> {
    /// Up to the first invalid one, as pgvector reads them.
    pub fn heap_tids(&self) -> impl Iterator<Item = (u32, u16)> {
        (0..HEAP_TIDS).map(|i| tid_at(self.bytes, 4 + i * TID_BYTES)).take_while(|(_, offset)| *offset != 0)
    }

    /// From the value's varlena header to the end of the tuple.
    pub fn value(&self) -> &'a [u8] {
        &self.bytes[ELEMENT_HEADER_BYTES..]
    }
}
