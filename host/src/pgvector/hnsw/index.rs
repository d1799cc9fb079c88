use std::ops::Range;

use rayon::prelude::*;

use crate::model::Tid;
use crate::pgvector::Metric;
use crate::pgvector::store::VectorStore;
use crate::pgvector::tid_vec::TidVec;

use super::meta::Meta;
use super::reader::{Block, Deleted, HnswReader};

/// A slot that holds nothing: the list ends before it.
const UNUSED: u32 = u32::MAX;
/// A slot that leads to a deleted element or to none.
pub(super) const BROKEN: u32 = u32::MAX - 1;
/// The element has no usable neighbour list.
const NO_LIST: u64 = u64::MAX;

/// The graph of an HNSW index, with its vectors where they fitted the memory limit. Elements are numbered in the
/// order in which their pages were read; deleted slots are only counted.
#[derive(Debug)]
pub struct HnswIndex {
    pub(super) meta: Meta,
    pub(super) metric: Metric,
    pub(super) page_size: usize,
    pub(super) entry: Entry,
    pub(super) places: TidVec,
    pub(super) levels: Vec<u8>,
    superseded: Vec<bool>,
    heap_ends: Vec<u32>,
    heap_tids: TidVec,
    list_starts: Vec<u64>,
    slots: Vec<u32>,
    pub(super) element_tuple_bytes: u64,
    /// Bytes of the slots of deleted elements, with their neighbour lists.
    pub(super) deleted_bytes: u64,
    pub(super) deleted_count: u64,
    pub(super) blocks: Vec<Block>,
    pub(super) pages_expected: u32,
    store: VectorStore,
    keeps_vectors: bool,
}

/// Where searches begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// The meta page names none.
    None,
    /// The meta page names a place without a usable element.
    Broken,
    Element(u32),
}

impl HnswIndex {
    /// Turns places into element numbers, in place.
    pub(super) fn resolve(mut reader: HnswReader, meta: Meta) -> Self {
        let entry = match meta.entry {
            None => Entry::None,
            Some((block, offset)) => reader.element_at(block, offset).map_or(Entry::Broken, Entry::Element),
        };
        let mut slots = std::mem::take(&mut reader.lists.slot_blocks);
        let slot_offsets = std::mem::take(&mut reader.lists.slot_offsets);
        slots.par_iter_mut().with_min_len(4096).zip(&slot_offsets).for_each(|(slot, offset)| {
            *slot = match offset {
                0 => UNUSED,
                offset => reader.element_at(*slot, *offset).unwrap_or(BROKEN),
            };
        });
        drop(slot_offsets);
        slots.shrink_to_fit();
        let count = reader.elements.blocks.len();
        let list_starts = (0..count).into_par_iter().map(|e| reader.list_start(&meta, e).unwrap_or(NO_LIST)).collect();
        let deleted: Vec<Deleted> =
            reader.blocks.iter().flat_map(|block| reader.deleted[block.deleted()].iter().copied()).collect();
        let deleted_bytes = deleted.iter().map(|d| deleted_slot_bytes(&reader, d)).sum();
        let mut elements = reader.elements;
        elements.heap_tids.shrink();
        let mut store = reader.store;
        store.shrink();
        HnswIndex {
            meta,
            metric: reader.options.metric,
            page_size: reader.page_size,
            entry,
            places: TidVec::from_parts(elements.blocks, elements.offsets),
            levels: elements.levels,
            superseded: elements.superseded,
            heap_ends: elements.heap_ends,
            heap_tids: elements.heap_tids,
            list_starts,
            slots,
            element_tuple_bytes: elements.tuple_bytes,
            deleted_bytes,
            deleted_count: deleted.len() as u64,
            blocks: reader.blocks,
            pages_expected: reader.options.pages_expected,
            store,
            keeps_vectors: reader.keeps_vectors,
        }
    }

    pub(crate) fn metric(&self) -> Metric {
        self.metric
    }

    pub(crate) fn store(&self) -> &VectorStore {
        &self.store
    }

    pub(crate) fn keeps_vectors(&self) -> bool {
        self.keeps_vectors
    }

    /// Elements of every state; numbers run below this.
    pub(crate) fn element_count(&self) -> usize {
        self.levels.len()
    }

    /// Of the current pages, with or without rows: what a search can walk through.
    pub(super) fn is_current(&self, element: usize) -> bool {
        !self.superseded[element]
    }

    /// Current, and with at least one heap TID.
    pub(crate) fn is_live(&self, element: usize) -> bool {
        self.is_current(element) && !self.heap_range(element).is_empty()
    }

    /// In the order of the tuple; an index scan returns them last first.
    pub(crate) fn heap_tids(&self, element: usize) -> impl DoubleEndedIterator<Item = Tid> {
        self.heap_range(element).map(|i| self.heap_tids.get(i))
    }

    fn heap_range(&self, element: usize) -> Range<usize> {
        let start = if element == 0 { 0 } else { self.heap_ends[element - 1] as usize };
        start..self.heap_ends[element] as usize
    }

    pub(super) fn has_list(&self, element: usize) -> bool {
        self.list_starts[element] != NO_LIST
    }

    /// The links of an element at a layer: element numbers or [`BROKEN`]. None above its level.
    #[inline]
    pub(super) fn links(&self, element: usize, layer: u8) -> impl Iterator<Item = u32> {
        let (level, start) = (self.levels[element], self.list_starts[element]);
        let slots = if start == NO_LIST || layer > level {
            &[]
        } else {
            let first = start as usize + usize::from(level - layer) * usize::from(self.meta.m);
            &self.slots[first..first + self.meta.layer_slots(layer)]
        };
        slots.iter().copied().take_while(|slot| *slot != UNUSED)
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        let arrays = size_of_val(&self.levels[..])
            + size_of_val(&self.superseded[..])
            + size_of_val(&self.heap_ends[..])
            + size_of_val(&self.list_starts[..])
            + size_of_val(&self.slots[..])
            + size_of_val(&self.blocks[..]);
        arrays as u64 + self.places.bytes() + self.heap_tids.bytes()
    }
}

/// The element tuple and its neighbour list.
fn deleted_slot_bytes(reader: &HnswReader, deleted: &Deleted) -> u64 {
    let list = reader.list_at(deleted.neighbours);
    let list_bytes = list.map_or(0, |list| list_tuple_bytes(usize::from(reader.lists.counts[list])));
    u64::from(deleted.tuple_bytes) + list_bytes
}

/// `HNSW_NEIGHBOR_TUPLE_SIZE`.
pub(super) fn list_tuple_bytes(slots: usize) -> u64 {
    (4 + slots * 6).next_multiple_of(8) as u64
}
