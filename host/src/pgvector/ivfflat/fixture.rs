//! Builds small IVFFlat indexes as pgvector writes them, for tests.

use crate::pgvector::fixture::{PageBuilder, tid, varlena};

use super::meta::PAGE_ID;

const PAGE_SIZE: usize = 8192;

pub(crate) struct Lists {
    pub dimensions: u16,
    pub lists: Vec<List>,
    /// An entry page is full then, so that chains get long.
    pub entries_a_page: usize,
}

pub(crate) struct List {
    pub centre: Vec<u8>,
    /// Heap TIDs with their values, varlena header included.
    pub entries: Vec<((u32, u16), Vec<u8>)>,
}

impl Lists {
    pub fn pages(&self) -> Vec<Vec<u8>> {
        let list_bytes = self.lists.first().map_or(8, |list| (12 + list.centre.len()).next_multiple_of(8)) + 4;
        let per_page = (PAGE_SIZE - 32) / list_bytes;
        let list_pages = self.lists.len().div_ceil(per_page) as u32;
        let mut next_block = list_pages + 1;
        let mut entry_pages = Vec::new();
        let mut list_tuples = Vec::new();
        for list in &self.lists {
            let chunks: Vec<_> = list.entries.chunks(self.entries_a_page).collect();
            let start = if chunks.is_empty() { u32::MAX } else { next_block };
            for (i, chunk) in chunks.iter().enumerate() {
                let mut page = PageBuilder::new(PAGE_SIZE, PAGE_ID);
                for ((block, offset), value) in *chunk {
                    page.add(&index_tuple(*block, *offset, value));
                }
                next_block += 1;
                let page = if i + 1 < chunks.len() { page.next(next_block) } else { page };
                entry_pages.push(page.finish());
            }
            let mut tuple = start.to_le_bytes().to_vec();
            tuple.extend(start.to_le_bytes());
            tuple.extend(varlena(&list.centre));
            tuple.resize(tuple.len().next_multiple_of(8), 0);
            list_tuples.push(tuple);
        }
        let mut pages = vec![self.meta_page()];
        for (block, tuples) in (1..).zip(list_tuples.chunks(per_page)) {
            let mut page = PageBuilder::new(PAGE_SIZE, PAGE_ID);
            tuples.iter().for_each(|tuple| {
                page.add(tuple);
            });
            let page = if block < list_pages { page.next(block + 1) } else { page };
            pages.push(page.finish());
        }
        pages.extend(entry_pages);
        pages
    }

    fn meta_page(&self) -> Vec<u8> {
        let mut contents = 0x014F_F1A7_u32.to_le_bytes().to_vec();
        contents.extend(1_u32.to_le_bytes());
        contents.extend(self.dimensions.to_le_bytes());
        contents.extend((self.lists.len() as u16).to_le_bytes());
        PageBuilder::new(PAGE_SIZE, PAGE_ID).contents(&contents).finish()
    }
}

fn index_tuple(block: u32, offset: u16, value: &[u8]) -> Vec<u8> {
    let size = (8 + value.len()).next_multiple_of(8);
    let mut tuple = tid(block, offset).to_vec();
    tuple.extend((size as u16 | 0x4000).to_le_bytes());
    tuple.extend_from_slice(value);
    tuple.resize(size, 0);
    tuple
}
