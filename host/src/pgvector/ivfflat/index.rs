use std::ops::Range;

use crate::model::Tid;
use crate::pgvector::Metric;
use crate::pgvector::error::{PageError, PageFault};
use crate::pgvector::stash::BlockState;
use crate::pgvector::store::VectorStore;
use crate::pgvector::tid_vec::TidVec;

use super::meta::Meta;
use super::reader::{Block, IvfflatReader};

const INVALID_BLOCK: u32 = u32::MAX;
/// The entry is of no list: its page was pushed again, or no chain leads to it.
const NO_LIST: u16 = u16::MAX;

/// The lists of an IVFFlat index, with its vectors where they fitted the memory limit. Entries are numbered in the
/// order in which their pages were read.
#[derive(Debug)]
pub struct IvfflatIndex {
    pub(super) meta: Meta,
    pub(super) metric: Metric,
    pub(super) page_size: usize,
    /// One a list.
    pub(super) centres: VectorStore,
    /// The entries of list l are those of `pages[list_pages[l]..list_pages[l + 1]]`, in the order of the chain.
    pages: Vec<Range<u32>>,
    list_pages: Vec<u32>,
    list_of: Vec<u16>,
    heap_tids: TidVec,
    pub(super) blocks: Vec<Block>,
    /// Free bytes of a list's pages, but for the last page of each chain.
    pub(super) inner_free_bytes: Vec<u16>,
    pub(super) pages_unlinked: u64,
    pub(super) tuple_bytes: u64,
    pub(super) pages_expected: u32,
    store: VectorStore,
    keeps_vectors: bool,
}

/// The chains of pages of all lists.
pub(super) struct Chains {
    /// The list of each block.
    owner: Vec<Option<u16>>,
    /// List by list.
    blocks: Vec<Vec<u32>>,
    /// Blocks at which a chain breaks off, joins another or runs in a circle, and what leads there.
    pub faults: Vec<u32>,
}

impl Chains {
    pub fn follow(reader: &IvfflatReader, meta: &Meta) -> Self {
        let mut chains = Chains { owner: vec![None; reader.blocks.len()], blocks: Vec::new(), faults: Vec::new() };
        for (page, lists) in (1..).zip(&reader.list_pages) {
            for list in lists {
                let number = chains.blocks.len().min(usize::from(NO_LIST - 1)) as u16;
                let mut blocks = Vec::new();
                let (mut from, mut next) = (page, Some(list.start_page).filter(|b| *b != INVALID_BLOCK));
                while let Some(block) = next {
                    let at = block as usize;
                    let is_entry_page = block > meta.list_pages
                        && reader.blocks.get(at).is_some_and(|b| b.state == BlockState::Decoded);
                    if !is_entry_page || chains.owner[at].is_some() {
                        chains.faults.extend([from, block]);
                        break;
                    }
                    chains.owner[at] = Some(number);
                    blocks.push(block);
                    (from, next) = (block, reader.blocks[at].next);
                }
                chains.blocks.push(blocks);
            }
        }
        chains
    }
}

impl IvfflatIndex {
    pub(super) fn resolve(reader: IvfflatReader, meta: Meta) -> Result<Self, PageError> {
        check_list_pages(&reader, &meta)?;
        let mut centres = VectorStore::new(reader.options.vector_type, meta.dimensions);
        for list in reader.list_pages.iter().flatten() {
            // Its content was pushed to another store before: it is valid.
            centres
                .push_content(&list.centre)
                .map_err(|fault| PageError { block: 1, fault: PageFault::Value { offset: 0, fault } })?;
        }
        let chains = Chains::follow(&reader, &meta);
        let mut index = IvfflatIndex {
            meta,
            metric: reader.options.metric,
            page_size: reader.page_size,
            centres,
            pages: Vec::new(),
            list_pages: vec![0],
            list_of: vec![NO_LIST; reader.heap_tids.len()],
            heap_tids: reader.heap_tids,
            blocks: reader.blocks,
            inner_free_bytes: Vec::new(),
            pages_unlinked: 0,
            tuple_bytes: reader.tuple_bytes,
            pages_expected: reader.options.pages_expected,
            store: reader.store,
            keeps_vectors: reader.keeps_vectors,
        };
        for (list, blocks) in (0..).zip(&chains.blocks) {
            for block in blocks {
                let entries = index.blocks[*block as usize].entries();
                index.list_of[entries.start as usize..entries.end as usize].fill(list);
                index.pages.push(entries);
            }
            index.list_pages.push(index.pages.len() as u32);
            let inner = &blocks[..blocks.len().saturating_sub(1)];
            index.inner_free_bytes.extend(inner.iter().map(|block| index.blocks[*block as usize].free_bytes));
        }
        let first_entry_page = meta.list_pages as usize + 1;
        let entry_pages = index.blocks.iter().zip(&chains.owner).skip(first_entry_page);
        let is_unlinked = |(b, owner): &(&Block, &Option<u16>)| b.state == BlockState::Decoded && owner.is_none();
        index.pages_unlinked = entry_pages.filter(is_unlinked).count() as u64;
        index.heap_tids.shrink();
        index.store.shrink();
        Ok(index)
    }

    pub(crate) fn metric(&self) -> Metric {
        self.metric
    }

    pub(crate) fn store(&self) -> &VectorStore {
        &self.store
    }

    pub(crate) fn centres(&self) -> &VectorStore {
        &self.centres
    }

    pub(crate) fn keeps_vectors(&self) -> bool {
        self.keeps_vectors
    }

    /// Entries of every state; numbers run below this.
    pub(crate) fn entry_count(&self) -> usize {
        self.list_of.len()
    }

    /// Whether a list's chain leads to the entry.
    pub(crate) fn is_live(&self, entry: usize) -> bool {
        self.list_of[entry] != NO_LIST
    }

    pub(crate) fn list_of(&self, entry: usize) -> Option<u32> {
        (self.list_of[entry] != NO_LIST).then(|| self.list_of[entry].into())
    }

    pub(crate) fn heap_tid(&self, entry: usize) -> Tid {
        self.heap_tids.get(entry)
    }

    /// The entries of a list, page by page.
    pub(super) fn entries(&self, list: usize) -> &[Range<u32>] {
        &self.pages[self.list_pages[list] as usize..self.list_pages[list + 1] as usize]
    }

    pub(super) fn list_count(&self) -> usize {
        self.list_pages.len() - 1
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        let arrays = size_of_val(&self.pages[..])
            + size_of_val(&self.list_pages[..])
            + size_of_val(&self.list_of[..])
            + size_of_val(&self.blocks[..]);
        arrays as u64 + self.heap_tids.bytes() + self.centres.bytes()
    }
}

/// All list pages are there, in one chain, and hold as many lists as the meta page says.
fn check_list_pages(reader: &IvfflatReader, meta: &Meta) -> Result<(), PageError> {
    let fault = |block, what| Err(PageError { block, fault: PageFault::ListChain(what) });
    for block in 1..=meta.list_pages {
        match reader.blocks.get(block as usize) {
            Some(b) if b.state == BlockState::Decoded => {
                let expected = (block < meta.list_pages).then_some(block + 1);
                if b.next != expected {
                    return fault(block, "it does not lead to the next list page");
                }
            }
            _ => return fault(block, "a list page could not be read"),
        }
    }
    let lists: usize = reader.list_pages.iter().map(Vec::len).sum();
    if lists as u32 != meta.lists {
        return fault(1, "there are not as many lists as the meta page says");
    }
    Ok(())
}
