use std::ops::Range;

use crate::pgvector::error::{PageError, PageFault};
use crate::pgvector::kind::ReaderOptions;
use crate::pgvector::page::{Page, tid_at};
use crate::pgvector::stash::{BlockState, Stash, check_block, entry};
use crate::pgvector::store::VectorStore;
use crate::pgvector::tid_vec::TidVec;
use crate::pgvector::value::detoast;

use super::index::HnswIndex;
use super::meta::{Meta, PAGE_ID};
use super::tuple::{ElementTuple, NeighbourTuple, TID_BYTES, Tuple};

/// Element numbers above this have other meanings in a neighbour list.
const MAX_ELEMENTS: usize = u32::MAX as usize - 16;

/// Decodes the pages of an HNSW index as they arrive, in any order.
#[derive(Debug)]
pub struct HnswReader {
    pub(super) options: ReaderOptions,
    pub(super) meta: Option<Meta>,
    stash: Stash,
    pub(super) page_size: usize,
    pub(super) blocks: Vec<Block>,
    pub(super) elements: Elements,
    pub(super) lists: Lists,
    pub(super) deleted: Vec<Deleted>,
    pub(super) store: VectorStore,
    pub(super) keeps_vectors: bool,
}

/// What one block gave.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Block {
    pub state: BlockState,
    /// The last page of the chain.
    pub is_tail: bool,
    pub free_bytes: u16,
    first_element: u32,
    element_count: u16,
    first_list: u32,
    list_count: u16,
    first_deleted: u32,
    deleted_count: u16,
}

/// Elements that are not deleted, ordered by offset within a block.
#[derive(Debug, Default)]
pub(super) struct Elements {
    pub blocks: Vec<u32>,
    pub offsets: Vec<u16>,
    pub levels: Vec<u8>,
    pub versions: Vec<u8>,
    /// The block was pushed again: this element is of the past.
    pub superseded: Vec<bool>,
    /// Where each element's heap TIDs end.
    pub heap_ends: Vec<u32>,
    pub heap_tids: TidVec,
    pub neighbours: TidVec,
    /// Bytes of all element tuples.
    pub tuple_bytes: u64,
}

/// Neighbour tuples, ordered by offset within a block.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub offsets: Vec<u16>,
    pub versions: Vec<u8>,
    pub counts: Vec<u16>,
    pub starts: Vec<u64>,
    /// The item pointers of all lists; offset 0 is an unused slot.
    pub slot_blocks: Vec<u32>,
    pub slot_offsets: Vec<u16>,
}

/// The slot of a deleted element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deleted {
    pub tuple_bytes: u16,
    pub neighbours: (u32, u16),
}

impl Block {
    pub fn elements(&self) -> Range<usize> {
        self.first_element as usize..self.first_element as usize + usize::from(self.element_count)
    }

    pub fn lists(&self) -> Range<usize> {
        self.first_list as usize..self.first_list as usize + usize::from(self.list_count)
    }

    pub fn deleted(&self) -> Range<usize> {
        self.first_deleted as usize..self.first_deleted as usize + usize::from(self.deleted_count)
    }
}

impl HnswReader {
    pub fn new(options: ReaderOptions) -> Self {
        HnswReader {
            meta: None,
            stash: Stash::default(),
            page_size: 0,
            blocks: Vec::new(),
            elements: Elements::default(),
            lists: Lists::default(),
            deleted: Vec::new(),
            store: VectorStore::new(options.vector_type, 1),
            keeps_vectors: true,
            options,
        }
    }

    /// Takes one page, in any order; a block that is pushed again replaces what it gave before. An error leaves
    /// nothing of the page behind, and the block counts as undecodable until it is pushed again.
    pub fn push_page(&mut self, block: u32, page: &[u8]) -> Result<(), PageError> {
        check_block(block, self.options.pages_expected)?;
        let pushed = match (block, self.meta) {
            (0, _) => self.push_meta(page),
            (_, None) => return self.stash.put(block, page),
            (_, Some(_)) => self.push_data(block, page),
        };
        pushed.map_err(|fault| {
            entry(&mut self.blocks, block).state = BlockState::Undecodable;
            PageError { block, fault }
        })
    }

    /// # Errors
    /// Where the meta page could not be decoded. Other undecodable pages are counted in the health.
    pub fn finish(self) -> Result<HnswIndex, PageError> {
        let state = self.blocks.first().map_or(BlockState::Missing, |b| b.state);
        match self.meta {
            Some(meta) if state == BlockState::Decoded => Ok(HnswIndex::resolve(self, meta)),
            _ => Err(PageError { block: 0, fault: PageFault::MetaMissing }),
        }
    }

    fn push_meta(&mut self, bytes: &[u8]) -> Result<(), PageFault> {
        if !self.options.metric.suits(self.options.vector_type) {
            return Err(PageFault::Options);
        }
        let page = Page::parse(bytes, PAGE_ID)?.ok_or(PageFault::MetaMissing)?;
        let meta = Meta::decode(&page, self.options.vector_type)?;
        match self.meta {
            Some(before) if !before.same_build(&meta) => return Err(PageFault::MetaChanged),
            Some(_) => {}
            None => self.store = VectorStore::new(self.options.vector_type, meta.dimensions),
        }
        self.meta = Some(meta);
        self.page_size = page.size();
        entry(&mut self.blocks, 0).state = BlockState::Decoded;
        for (block, page) in self.stash.take() {
            if self.push_data(block, &page).is_err() {
                entry(&mut self.blocks, block).state = BlockState::Undecodable;
            }
        }
        Ok(())
    }

    fn push_data(&mut self, block: u32, bytes: &[u8]) -> Result<(), PageFault> {
        self.forget(block);
        let Some(page) = Page::parse(bytes, PAGE_ID)? else {
            entry(&mut self.blocks, block).state = BlockState::Empty;
            return Ok(());
        };
        if page.size() != self.page_size {
            return Err(PageFault::Header("another page size than the meta page"));
        }
        let before = self.lengths();
        let decoded = self.decode(block, &page);
        if decoded.is_err() {
            self.truncate(before);
            return decoded;
        }
        let [elements, lists, deleted, ..] = before;
        *entry(&mut self.blocks, block) = Block {
            state: BlockState::Decoded,
            is_tail: page.next_block().is_none(),
            // A page has at most 32 KiB, of which less than 8,192 are line pointers: all of it fits 16 bits.
            free_bytes: page.free_bytes() as u16,
            first_element: elements as u32,
            element_count: (self.elements.blocks.len() - elements) as u16,
            first_list: lists as u32,
            list_count: (self.lists.offsets.len() - lists) as u16,
            first_deleted: deleted as u32,
            deleted_count: (self.deleted.len() - deleted) as u16,
        };
        if !self.keeps_vectors {
            self.store.truncate(0);
        } else if self.store.bytes() > self.options.vector_memory_limit_bytes {
            self.keeps_vectors = false;
            self.store.truncate(0);
            self.store.shrink();
        }
        Ok(())
    }

    /// What the block gave before no longer counts.
    fn forget(&mut self, block: u32) {
        let former = entry(&mut self.blocks, block);
        let elements = former.elements();
        *former = Block::default();
        self.elements.superseded[elements].fill(true);
    }

    fn decode(&mut self, block: u32, page: &Page) -> Result<(), PageFault> {
        for offset in 1..=page.item_count() {
            let Some(item) = page.item(offset)? else { continue };
            match Tuple::at_offset(item, offset)? {
                Tuple::Element(tuple) if tuple.is_deleted => {
                    self.deleted.push(Deleted { tuple_bytes: item.len() as u16, neighbours: tuple.neighbours })
                }
                Tuple::Element(tuple) => self.push_element(block, offset, item.len(), &tuple)?,
                Tuple::Neighbours(tuple) => self.push_list(offset, &tuple)?,
            }
        }
        Ok(())
    }

    fn push_element(
        &mut self,
        block: u32,
        offset: u16,
        tuple_bytes: usize,
        tuple: &ElementTuple,
    ) -> Result<(), PageFault> {
        let content = detoast(tuple.value()).map_err(|fault| PageFault::Value { offset, fault })?;
        self.store.push_content(&content).map_err(|fault| PageFault::Value { offset, fault })?;
        let elements = &mut self.elements;
        if elements.blocks.len() >= MAX_ELEMENTS || elements.heap_tids.len() >= MAX_ELEMENTS {
            return Err(PageFault::TooMany);
        }
        for tid in tuple.heap_tids() {
            elements.heap_tids.push(tid);
        }
        elements.heap_ends.push(elements.heap_tids.len() as u32);
        elements.blocks.push(block);
        elements.offsets.push(offset);
        elements.levels.push(tuple.level);
        elements.versions.push(tuple.version);
        elements.superseded.push(false);
        elements.neighbours.push(tuple.neighbours);
        elements.tuple_bytes += tuple_bytes as u64;
        Ok(())
    }

    fn push_list(&mut self, offset: u16, tuple: &NeighbourTuple) -> Result<(), PageFault> {
        let lists = &mut self.lists;
        if lists.offsets.len() >= MAX_ELEMENTS {
            return Err(PageFault::TooMany);
        }
        lists.offsets.push(offset);
        lists.versions.push(tuple.version);
        lists.counts.push(tuple.count);
        lists.starts.push(lists.slot_blocks.len() as u64);
        for slot in tuple.slots.chunks_exact(TID_BYTES) {
            let (block, offset) = tid_at(slot, 0);
            lists.slot_blocks.push(block);
            lists.slot_offsets.push(offset);
        }
        Ok(())
    }

    fn lengths(&self) -> [usize; 7] {
        [
            self.elements.blocks.len(),
            self.lists.offsets.len(),
            self.deleted.len(),
            self.elements.heap_tids.len(),
            self.lists.slot_blocks.len(),
            self.store.len(),
            self.elements.tuple_bytes as usize,
        ]
    }

    fn truncate(&mut self, [elements, lists, deleted, heap_tids, slots, vectors, tuple_bytes]: [usize; 7]) {
        let e = &mut self.elements;
        e.blocks.truncate(elements);
        e.offsets.truncate(elements);
        e.levels.truncate(elements);
        e.versions.truncate(elements);
        e.superseded.truncate(elements);
        e.heap_ends.truncate(elements);
        e.neighbours.truncate(elements);
        e.heap_tids.truncate(heap_tids);
        e.tuple_bytes = tuple_bytes as u64;
        let l = &mut self.lists;
        l.offsets.truncate(lists);
        l.versions.truncate(lists);
        l.counts.truncate(lists);
        l.starts.truncate(lists);
        l.slot_blocks.truncate(slots);
        l.slot_offsets.truncate(slots);
        self.deleted.truncate(deleted);
        self.store.truncate(vectors);
    }

    /// The element at a place, where there is one that is not deleted.
    pub(super) fn element_at(&self, block: u32, offset: u16) -> Option<u32> {
        let range = self.blocks.get(block as usize)?.elements();
        find(&self.elements.offsets, range, offset).map(|at| at as u32)
    }

    /// The neighbour tuple at a place.
    pub(super) fn list_at(&self, (block, offset): (u32, u16)) -> Option<usize> {
        find(&self.lists.offsets, self.blocks.get(block as usize)?.lists(), offset)
    }

    /// The first slot of an element's neighbour list; None where pgvector would not read it (it is missing, of
    /// another version or of another size).
    pub(super) fn list_start(&self, meta: &Meta, element: usize) -> Option<u64> {
        let place = self.elements.neighbours.get(element);
        let list = self.list_at((place.block, place.offset))?;
        let is_current = self.lists.versions[list] == self.elements.versions[element]
            && usize::from(self.lists.counts[list]) == meta.slots(self.elements.levels[element]);
        is_current.then(|| self.lists.starts[list])
    }
}

/// Where an offset is within a block's ascending ones.
fn find(offsets: &[u16], range: Range<usize>, offset: u16) -> Option<usize> {
    let of_block = &offsets[range.clone()];
    // Elements and neighbour lists alternate on most pages.
    let guess = usize::from(offset.saturating_sub(1) / 2);
    if of_block.get(guess) == Some(&offset) {
        return Some(range.start + guess);
    }
    of_block.binary_search(&offset).ok().map(|at| range.start + at)
}
