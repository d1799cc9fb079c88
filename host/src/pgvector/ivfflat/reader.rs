use std::ops::Range;

use crate::pgvector::error::{PageError, PageFault, ValueFault};
use crate::pgvector::kind::ReaderOptions;
use crate::pgvector::page::{Page, tid_at, u16_at, u32_at};
use crate::pgvector::stash::{BlockState, Stash, check_block, entry};
use crate::pgvector::store::VectorStore;
use crate::pgvector::tid_vec::TidVec;
use crate::pgvector::value::detoast;

use super::index::{Chains, IvfflatIndex};
use super::meta::{LIST_HEADER_BYTES, Meta, PAGE_ID};

/// `IndexTupleData`: heap TID, then size and flags.
const TUPLE_HEADER_BYTES: usize = 8;
const SIZE_MASK: u16 = 0x1FFF;
const HAS_NULLS: u16 = 0x8000;
const MAX_ENTRIES: usize = u32::MAX as usize - 16;

/// Decodes the pages of an IVFFlat index as they arrive, in any order.
#[derive(Debug)]
pub struct IvfflatReader {
    pub(super) options: ReaderOptions,
    pub(super) meta: Option<Meta>,
    stash: Stash,
    pub(super) page_size: usize,
    pub(super) blocks: Vec<Block>,
    /// The lists of block b + 1 at position b, in their order.
    pub(super) list_pages: Vec<Vec<List>>,
    pub(super) heap_tids: TidVec,
    /// Bytes of all index tuples.
    pub(super) tuple_bytes: u64,
    pub(super) store: VectorStore,
    pub(super) keeps_vectors: bool,
}

/// What one block gave.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Block {
    pub state: BlockState,
    pub free_bytes: u16,
    pub next: Option<u32>,
    first_entry: u32,
    entry_count: u16,
}

#[derive(Clone, Debug)]
pub(super) struct List {
    pub start_page: u32,
    /// The centre's content, after its varlena header.
    pub centre: Vec<u8>,
}

impl Block {
    pub fn entries(&self) -> Range<u32> {
        self.first_entry..self.first_entry + u32::from(self.entry_count)
    }
}

impl IvfflatReader {
    pub fn new(options: ReaderOptions) -> Self {
        IvfflatReader {
            meta: None,
            stash: Stash::default(),
            page_size: 0,
            blocks: Vec::new(),
            list_pages: Vec::new(),
            heap_tids: TidVec::default(),
            tuple_bytes: 0,
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
            (_, Some(meta)) => self.push_other(&meta, block, page),
        };
        pushed.map_err(|fault| {
            entry(&mut self.blocks, block).state = BlockState::Undecodable;
            PageError { block, fault }
        })
    }

    /// Blocks to read again before `finish`, ascending: pages that were not read or not decodable, and those
    /// where a list's chain breaks off, joins another or runs in a circle. What is still suspicious after a second
    /// read is real.
    pub fn suspicious_blocks(&self) -> Vec<u32> {
        let known_blocks = self.blocks.len().max(self.options.pages_expected as usize) as u32;
        let state = |block: u32| self.blocks.get(block as usize).map(|b| b.state).unwrap_or_default();
        let mut found: Vec<u32> = (0..known_blocks).filter(|block| state(*block).is_unknown()).collect();
        if let Some(meta) = &self.meta {
            found.extend(Chains::follow(self, meta).faults);
        }
        found.sort_unstable();
        found.dedup();
        found.retain(|block| *block < known_blocks);
        found
    }

    /// # Errors
    /// Where the meta page or a list page could not be decoded, or the list pages do not hold the lists that the
    /// meta page promises. Other undecodable pages are counted in the health.
    pub fn finish(self) -> Result<IvfflatIndex, PageError> {
        let state = self.blocks.first().map_or(BlockState::Missing, |b| b.state);
        match self.meta {
            Some(meta) if state == BlockState::Decoded => IvfflatIndex::resolve(self, meta),
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
            Some(before) if before != meta => return Err(PageFault::MetaChanged),
            Some(_) => {}
            None => {
                self.store = VectorStore::new(self.options.vector_type, meta.dimensions);
                self.list_pages = vec![Vec::new(); meta.list_pages as usize];
            }
        }
        self.meta = Some(meta);
        self.page_size = page.size();
        entry(&mut self.blocks, 0).state = BlockState::Decoded;
        for (block, page) in self.stash.take() {
            if self.push_other(&meta, block, &page).is_err() {
                entry(&mut self.blocks, block).state = BlockState::Undecodable;
            }
        }
        Ok(())
    }

    fn push_other(&mut self, meta: &Meta, block: u32, bytes: &[u8]) -> Result<(), PageFault> {
        *entry(&mut self.blocks, block) = Block::default();
        if let Some(lists) = self.list_pages.get_mut(block as usize - 1) {
            lists.clear();
        }
        let Some(page) = Page::parse(bytes, PAGE_ID)? else {
            entry(&mut self.blocks, block).state = BlockState::Empty;
            return Ok(());
        };
        if page.size() != self.page_size {
            return Err(PageFault::Header("another page size than the meta page"));
        }
        let before = (self.heap_tids.len(), self.store.len(), self.tuple_bytes);
        if block <= meta.list_pages {
            self.list_pages[block as usize - 1] = decode_lists(&page, &self.store)?;
        } else if let Err(fault) = self.decode_entries(&page) {
            self.heap_tids.truncate(before.0);
            self.store.truncate(before.1);
            self.tuple_bytes = before.2;
            return Err(fault);
        }
        *entry(&mut self.blocks, block) = Block {
            state: BlockState::Decoded,
            // A page has at most 32 KiB.
            free_bytes: page.free_bytes() as u16,
            next: page.next_block(),
            first_entry: before.0 as u32,
            entry_count: (self.heap_tids.len() - before.0) as u16,
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

    fn decode_entries(&mut self, page: &Page) -> Result<(), PageFault> {
        for offset in 1..=page.item_count() {
            let Some(item) = page.item(offset)? else { continue };
            let fault = |what| PageFault::Tuple { offset, what };
            if item.len() < TUPLE_HEADER_BYTES {
                return Err(fault("the entry is cut off"));
            }
            let info = u16_at(item, 6);
            let size = usize::from(info & SIZE_MASK);
            if size > item.len() || size < TUPLE_HEADER_BYTES {
                return Err(fault("the entry's size does not fit"));
            }
            if info & HAS_NULLS != 0 {
                return Err(fault("the entry holds a null, which IVFFlat never stores"));
            }
            let (heap_block, heap_offset) = tid_at(item, 0);
            if heap_offset == 0 {
                return Err(fault("the entry has no heap TID"));
            }
            if self.heap_tids.len() >= MAX_ENTRIES {
                return Err(PageFault::TooMany);
            }
            let value_fault = |fault: ValueFault| PageFault::Value { offset, fault };
            let content = detoast(&item[TUPLE_HEADER_BYTES..size]).map_err(value_fault)?;
            self.store.push_content(&content).map_err(value_fault)?;
            self.heap_tids.push((heap_block, heap_offset));
            self.tuple_bytes += item.len() as u64;
        }
        Ok(())
    }
}

/// `IvfflatListData`; the centres are checked against the type and dimensions of the store.
fn decode_lists(page: &Page, store: &VectorStore) -> Result<Vec<List>, PageFault> {
    let mut checked = VectorStore::new(store.vector_type(), store.dimensions());
    let mut lists = Vec::with_capacity(usize::from(page.item_count()));
    for offset in 1..=page.item_count() {
        let item = page.item(offset)?.ok_or(PageFault::Tuple { offset, what: "a list is missing" })?;
        if item.len() < LIST_HEADER_BYTES {
            return Err(PageFault::Tuple { offset, what: "the list is cut off" });
        }
        let value_fault = |fault: ValueFault| PageFault::Value { offset, fault };
        let centre = detoast(&item[LIST_HEADER_BYTES..]).map_err(value_fault)?;
        checked.truncate(0);
        checked.push_content(&centre).map_err(value_fault)?;
        lists.push(List { start_page: u32_at(item, 0), centre: centre.into_owned() });
    }
    Ok(lists)
}
