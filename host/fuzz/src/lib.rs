//! What the fuzz targets share: bytes become pages, and everything is asked of what was decoded from them.

#[path = "../../src/model/mod.rs"]
pub mod model;
#[path = "../../src/pgvector/mod.rs"]
pub mod pgvector;

use model::AccessMethod;
use pgvector::VectorType;
use pgvector::fixture::{any_index, exercise};

const PAGE_SIZE: usize = 8192;
const TYPES: [VectorType; 4] = [VectorType::Vector, VectorType::HalfVec, VectorType::Bit, VectorType::SparseVec];

/// The first byte chooses the type and what the rest is: whole pages, or changes of a valid index.
pub fn fuzz(method: AccessMethod, data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let vector_type = TYPES[usize::from(choice & 3)];
    let pages = if choice & 4 == 0 { changed(method, vector_type, rest) } else { whole(method, vector_type, rest) };
    exercise(method, vector_type, &pages);
}

/// A valid index with changes of five bytes: page, place (2), how, value.
fn changed(method: AccessMethod, vector_type: VectorType, changes: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut pages = any_index(method, vector_type, 60, 1);
    let count = pages.len();
    for change in changes.chunks_exact(5) {
        let page = &mut pages[usize::from(change[0]) % count];
        let at = usize::from(u16::from_le_bytes([change[1], change[2]])) % PAGE_SIZE;
        let value = change[4];
        match change[3] % 5 {
            0 => page[at] = value,
            1 => page[at] ^= 1 << (value % 8),
            2 => page.rotate_right(usize::from(value)),
            3 => page.truncate(at),
            _ => page[at..].fill(value),
        }
        page.resize(PAGE_SIZE, 0);
    }
    (0..).zip(pages).collect()
}

/// A valid meta page and then these bytes as pages, the last one filled up with zeros.
fn whole(method: AccessMethod, vector_type: VectorType, bytes: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let meta = any_index(method, vector_type, 60, 1).swap_remove(0);
    let page = |chunk: &[u8]| {
        let mut page = chunk.to_vec();
        page.resize(PAGE_SIZE, 0);
        page
    };
    (0..).zip(std::iter::once(meta).chain(bytes.chunks(PAGE_SIZE).map(page))).collect()
}
