//! Builds pages as pgvector writes them, for tests.

use half::f16;

/// A page under construction, filled as `PageAddItem` does.
pub(crate) struct PageBuilder {
    bytes: Vec<u8>,
    lower: usize,
    upper: usize,
}

impl PageBuilder {
    pub fn new(size: usize, page_id: u16) -> Self {
        let mut bytes = vec![0; size];
        let special = size - 8;
        bytes[16..18].copy_from_slice(&(special as u16).to_le_bytes());
        bytes[18..20].copy_from_slice(&(size as u16 | 4).to_le_bytes());
        bytes[special..special + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        bytes[size - 2..].copy_from_slice(&page_id.to_le_bytes());
        PageBuilder { bytes, lower: 24, upper: special }
    }

    pub fn free(&self) -> usize {
        self.upper - self.lower
    }

    /// Appends an item and gives its offset from 1.
    pub fn add(&mut self, item: &[u8]) -> u16 {
        let start = self.upper - item.len().next_multiple_of(8);
        assert!(start >= self.lower + 4, "the page is full");
        self.bytes[start..start + item.len()].copy_from_slice(item);
        let pointer = start as u32 | 1 << 15 | (item.len() as u32) << 17;
        self.bytes[self.lower..self.lower + 4].copy_from_slice(&pointer.to_le_bytes());
        self.lower += 4;
        self.upper = start;
        ((self.lower - 24) / 4) as u16
    }

    /// Writes after the header, as meta pages do.
    pub fn contents(mut self, contents: &[u8]) -> Self {
        self.bytes[24..24 + contents.len()].copy_from_slice(contents);
        self.lower = 24 + contents.len();
        self
    }

    pub fn next(mut self, block: u32) -> Self {
        let special = self.bytes.len() - 8;
        self.bytes[special..special + 4].copy_from_slice(&block.to_le_bytes());
        self
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.bytes[12..14].copy_from_slice(&(self.lower as u16).to_le_bytes());
        self.bytes[14..16].copy_from_slice(&(self.upper as u16).to_le_bytes());
        self.bytes
    }
}

/// A 4-byte varlena header before the content.
pub(crate) fn varlena(content: &[u8]) -> Vec<u8> {
    let mut value = (((content.len() + 4) << 2) as u32).to_le_bytes().to_vec();
    value.extend_from_slice(content);
    value
}

/// A 1-byte varlena header before the content.
pub(crate) fn short_varlena(content: &[u8]) -> Vec<u8> {
    let mut value = vec![((content.len() + 1) << 1 | 1) as u8];
    value.extend_from_slice(content);
    value
}

pub(crate) fn vector_content(elements: &[f32]) -> Vec<u8> {
    let mut content = (elements.len() as u32).to_le_bytes().to_vec();
    content.extend(elements.iter().flat_map(|x| x.to_le_bytes()));
    content
}

pub(crate) fn halfvec_content(elements: &[f32]) -> Vec<u8> {
    let mut content = (elements.len() as u32).to_le_bytes().to_vec();
    content.extend(elements.iter().flat_map(|x| f16::from_f32(*x).to_bits().to_le_bytes()));
    content
}

pub(crate) fn bit_content(bits: u32, bytes: &[u8]) -> Vec<u8> {
    let mut content = bits.to_le_bytes().to_vec();
    content.extend_from_slice(bytes);
    content
}

pub(crate) fn sparsevec_content(dimensions: u32, entries: &[(u32, f32)]) -> Vec<u8> {
    let mut content: Vec<u8> = [dimensions, entries.len() as u32, 0].iter().flat_map(|x| x.to_le_bytes()).collect();
    content.extend(entries.iter().flat_map(|(i, _)| i.to_le_bytes()));
    content.extend(entries.iter().flat_map(|(_, x)| x.to_le_bytes()));
    content
}

/// An `ItemPointerData`.
pub(crate) fn tid(block: u32, offset: u16) -> [u8; 6] {
    let [high, low] = [(block >> 16) as u16, block as u16].map(u16::to_le_bytes);
    let offset = offset.to_le_bytes();
    [high[0], high[1], low[0], low[1], offset[0], offset[1]]
}
