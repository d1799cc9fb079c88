//! The scores of a graph. Their formulas are at the fields of [`GraphHealth`].

use crate::model::EntryPoint;

use crate::pgvector::stash::BlockState;

use super::index::{BROKEN, Entry, HnswIndex, list_tuple_bytes};

const LINE_POINTER_BYTES: u64 = 4;
const PAGE_OVERHEAD_BYTES: u64 = 24 + 8;

/// The figures of an HNSW graph. An element is *live* when it is not deleted and has at least one heap TID (whether
/// the row is visible is the heap's affair); *reachable* when the layered search can get to it.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphHealth {
    pub m: u32,
    pub ef_construction: u32,
    pub dimensions: u32,
    pub elements_live: u64,
    /// Live elements in the closure R0, where R(L) holds what is in R(L + 1), the entry point if L is its level,
    /// and everything that layer L's edges lead to from these.
    pub elements_reachable: u64,
    /// Slots marked deleted, which wait for reuse.
    pub elements_deleted: u64,
    /// Elements without any heap TID that are not marked deleted: a vacuum runs or was interrupted.
    pub elements_without_rows: u64,
    /// Live elements that no other element's level-0 list holds. The entry point counts too, unless it is the only
    /// live element.
    pub orphan_count: u64,
    /// Live elements whose top level is L, at position L.
    pub layer_distribution: Vec<u64>,
    /// None: the meta page names none (the index is empty).
    pub entry_point: Option<EntryPoint>,
    /// 0 to 1: (level of the entry point + 1) / (highest live level + 1), times the share of the live elements of
    /// level >= 1 that the upper layers reach from it (1 where there are none). 0 where the entry point is missing or
    /// deleted; None for an index without live elements.
    pub entry_point_quality: Option<f64>,
    /// elements_reachable / elements_live, 0 to 1; None for an index without live elements.
    pub connectivity_score: Option<f64>,
    /// 0 to 1: bytes of deleted slots (element and neighbour tuples) and of usable free space, over all bytes of
    /// the data pages. Usable is what another element of level 0 with its neighbour list would fit into, in whole such
    /// pairs; a smaller remainder of a page is unavoidable and does not count, nor does the last page of the chain,
    /// which is still being filled. A fresh index is near 0.
    pub fragmentation: f64,
    /// Level-0 to top-level links to elements that are deleted or do not exist; pgvector fails on them.
    pub broken_links: u64,
    /// Live elements whose neighbour tuple is missing, of another version or of another size: dead ends.
    pub stale_neighbour_tuples: u64,
    /// Data pages, without the meta page.
    pub pages: u64,
    /// All-zero pages: allocated, never written.
    pub pages_empty: u64,
    /// Pages that could not be decoded or were never read, ascending. Where there is one, every count is a lower bound.
    pub pages_unknown: Vec<u32>,
}

impl HnswIndex {
    pub(crate) fn health(&self) -> GraphHealth {
        let elements = 0..self.element_count();
        let live: Vec<bool> = elements.clone().map(|e| self.is_live(e)).collect();
        let elements_live = live.iter().filter(|live| **live).count() as u64;
        let elements_current = elements.clone().filter(|e| self.is_current(*e)).count() as u64;
        let reached = self.reach();
        let count = |set: &[bool], from_level: u8| {
            let elements = elements.clone().filter(|e| live[*e] && set[*e] && self.levels[*e] >= from_level);
            elements.count() as u64
        };
        let elements_reachable = count(&reached.ground, 0);
        let mut layer_distribution = Vec::new();
        for e in elements.clone().filter(|e| live[*e]) {
            let level = usize::from(self.levels[e]);
            if layer_distribution.len() <= level {
                layer_distribution.resize(level + 1, 0);
            }
            layer_distribution[level] += 1;
        }
        let upper_live: u64 = layer_distribution.iter().skip(1).sum();
        let upper_reached = count(&reached.upper, 1);
        let share = |part: u64, whole: u64| if whole == 0 { 1.0 } else { part as f64 / whole as f64 };
        let entry_level = match self.entry {
            Entry::Element(entry) => Some(self.levels[entry as usize]),
            _ => None,
        };
        let entry_quality = |level: u8| {
            let levels = share(u64::from(level) + 1, layer_distribution.len() as u64).min(1.0);
            levels * share(upper_reached, upper_live)
        };
        GraphHealth {
            m: self.meta.m.into(),
            ef_construction: self.meta.ef_construction.into(),
            dimensions: self.meta.dimensions,
            elements_live,
            elements_reachable,
            elements_deleted: self.deleted_count,
            elements_without_rows: elements_current - elements_live,
            orphan_count: self.orphans(&live, elements_live),
            entry_point: self.entry_point(),
            entry_point_quality: (elements_live > 0).then(|| entry_level.map_or(0.0, entry_quality)),
            connectivity_score: (elements_live > 0).then(|| share(elements_reachable, elements_live)),
            fragmentation: self.fragmentation(),
            broken_links: self.broken_links(),
            stale_neighbour_tuples: elements.filter(|e| live[*e] && !self.has_list(*e)).count() as u64,
            pages: self.blocks.len().saturating_sub(1) as u64,
            pages_empty: self.blocks.iter().filter(|b| b.state == BlockState::Empty).count() as u64,
            pages_unknown: self.pages_unknown(),
            layer_distribution,
        }
    }

    fn entry_point(&self) -> Option<EntryPoint> {
        let (block, offset) = self.meta.entry?;
        let level = match self.entry {
            Entry::Element(entry) => self.levels[entry as usize],
            _ => 0,
        };
        Some(EntryPoint { block, offset, level })
    }

    /// The closure of the layers from the entry point down.
    fn reach(&self) -> Reached {
        let mut reached = vec![false; self.element_count()];
        let mut upper = Vec::new();
        if let Entry::Element(entry) = self.entry {
            reached[entry as usize] = true;
            // Everything reached above is a starting point of the layer below.
            let mut members = vec![entry];
            for layer in (0..=self.levels[entry as usize]).rev() {
                let mut at = 0;
                while let Some(&element) = members.get(at) {
                    for next in self.links(element as usize, layer) {
                        // The search passes over an element that a link leads to above its level.
                        if next != BROKEN && !reached[next as usize] && self.levels[next as usize] >= layer {
                            reached[next as usize] = true;
                            members.push(next);
                        }
                    }
                    at += 1;
                }
                if layer == 1 {
                    upper = reached.clone();
                }
            }
        }
        if upper.is_empty() {
            upper = vec![false; self.element_count()];
            if let Entry::Element(entry) = self.entry {
                upper[entry as usize] = true;
            }
        }
        Reached { upper, ground: reached }
    }

    fn orphans(&self, live: &[bool], elements_live: u64) -> u64 {
        let mut has_incoming = vec![false; self.element_count()];
        for element in (0..self.element_count()).filter(|e| self.is_current(*e)) {
            for next in self.links(element, 0) {
                if next != BROKEN && next as usize != element {
                    has_incoming[next as usize] = true;
                }
            }
        }
        if elements_live == 1 && matches!(self.entry, Entry::Element(entry) if live[entry as usize]) {
            return 0;
        }
        live.iter().zip(&has_incoming).filter(|(live, incoming)| **live && !**incoming).count() as u64
    }

    fn broken_links(&self) -> u64 {
        let current = (0..self.element_count()).filter(|e| self.is_current(*e));
        let of_element = |e: usize| {
            let layers = (0..=self.levels[e]).map(move |layer| self.links(e, layer));
            layers.flatten().filter(|next| *next == BROKEN).count() as u64
        };
        current.map(of_element).sum()
    }

    fn fragmentation(&self) -> f64 {
        let data = self.blocks.get(1..).unwrap_or_default();
        let page_size = self.page_size as u64;
        let pages = data.iter().filter(|b| matches!(b.state, BlockState::Decoded | BlockState::Empty)).count() as u64;
        if pages == 0 {
            return 0.0;
        }
        let element_bytes =
            self.element_tuple_bytes.div_ceil((self.element_count() as u64).max(1)) + LINE_POINTER_BYTES;
        let list_bytes = list_tuple_bytes(self.meta.slots(0)) + LINE_POINTER_BYTES;
        let pair_bytes = match element_bytes + list_bytes {
            // Both on one page do not fit: elements and lists are placed apart.
            both if both > page_size - PAGE_OVERHEAD_BYTES => element_bytes,
            both => both,
        };
        let usable = |free: u64| free / pair_bytes * pair_bytes;
        let free: u64 = data
            .iter()
            .map(|block| match block.state {
                BlockState::Empty => page_size,
                BlockState::Decoded if !block.is_tail => usable(block.free_bytes.into()),
                _ => 0,
            })
            .sum();
        (self.deleted_bytes + free) as f64 / (pages * page_size) as f64
    }

    fn pages_unknown(&self) -> Vec<u32> {
        let known = (self.blocks.len() as u32).max(self.pages_expected);
        let is_unknown = |block: &u32| self.blocks.get(*block as usize).is_none_or(|b| b.state.is_unknown());
        (0..known).filter(is_unknown).collect()
    }
}

struct Reached {
    /// Through layer 1 and above, and the entry point.
    upper: Vec<bool>,
    /// Through all layers.
    ground: Vec<bool>,
}
