//! pgvector's search (`HnswSearchLayer`, `GetScanItems`), over the decoded graph.

use std::sync::{Mutex, PoisonError};

use crate::pgvector::distance::{Ranked, Rows};
use crate::pgvector::pairing_heap::{First, PairingHeap};

use super::index::{BROKEN, Entry, HnswIndex};

/// Memory that searches of one thread share.
pub(crate) struct Scratch {
    /// The search that last visited each element.
    visited: Vec<u32>,
    round: u32,
    candidates: PairingHeap,
    nearest: PairingHeap,
    unvisited: Vec<u32>,
}

/// What one search cost and met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SearchCost {
    pub distances: u32,
    /// Links to deleted or missing elements; pgvector would fail there.
    pub broken_links: u32,
}

/// Scratch memory for as many threads as search at once.
pub(crate) struct ScratchPool<'a> {
    index: &'a HnswIndex,
    free: Mutex<Vec<Scratch>>,
}

impl<'a> ScratchPool<'a> {
    pub fn new(index: &'a HnswIndex) -> Self {
        ScratchPool { index, free: Mutex::default() }
    }

    pub fn with<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let free = || self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = free().pop();
        let mut scratch = taken.unwrap_or_else(|| Scratch::new(self.index));
        let result = work(&mut scratch);
        free().push(scratch);
        result
    }
}

impl Scratch {
    fn new(index: &HnswIndex) -> Self {
        Scratch {
            visited: vec![0; index.element_count()],
            round: 0,
            candidates: PairingHeap::new(First::Nearest),
            nearest: PairingHeap::new(First::Furthest),
            unvisited: Vec::new(),
        }
    }

    fn next_round(&mut self) {
        self.round = self.round.checked_add(1).unwrap_or_else(|| {
            self.visited.fill(0);
            1
        });
        self.candidates.clear();
        self.nearest.clear();
    }
}

impl HnswIndex {
    /// The elements that an index scan visits in its order, nearest first: at most `ef_search`, rows or not.
    pub(crate) fn search_one<'a, R: Rows<'a>>(
        &self,
        rows: &R,
        query: &R::Query,
        ef_search: u32,
        scratch: &mut Scratch,
    ) -> (Vec<Ranked>, SearchCost) {
        let mut cost = SearchCost::default();
        let Entry::Element(entry) = self.entry else {
            return (Vec::new(), cost);
        };
        cost.distances = 1;
        let mut found = vec![Ranked::new(rows.distance(query, entry as usize), entry)];
        for layer in (1..=self.levels[entry as usize]).rev() {
            found = self.search_layer(rows, query, &found, 1, layer, scratch, &mut cost);
        }
        found = self.search_layer(rows, query, &found, ef_search.max(1) as usize, 0, scratch, &mut cost);
        (found, cost)
    }

    /// `HnswSearchLayer`: the order of its checks decides what is found.
    #[expect(clippy::too_many_arguments)]
    fn search_layer<'a, R: Rows<'a>>(
        &self,
        rows: &R,
        query: &R::Query,
        from: &[Ranked],
        ef: usize,
        layer: u8,
        scratch: &mut Scratch,
        cost: &mut SearchCost,
    ) -> Vec<Ranked> {
        scratch.next_round();
        let Scratch { visited, round, candidates, nearest, unvisited } = scratch;
        // As in pgvector this only grows: once it exceeds ef, `nearest` holds ef elements.
        let mut counted = from.len();
        for &candidate in from {
            visited[candidate.row() as usize] = *round;
            candidates.push(candidate);
            nearest.push(candidate);
        }
        while let (Some(candidate), Some(furthest)) = (candidates.pop(), nearest.peek()) {
            if candidate.distance() > furthest {
                break;
            }
            unvisited.clear();
            for &neighbour in self.links(candidate.row() as usize, layer) {
                if neighbour == BROKEN {
                    cost.broken_links += 1;
                } else if std::mem::replace(&mut visited[neighbour as usize], *round) != *round {
                    unvisited.push(neighbour);
                }
            }
            cost.distances += unvisited.len() as u32;
            for &neighbour in unvisited.iter() {
                let always_add = counted < ef;
                let distance = rows.distance(query, neighbour as usize);
                let is_nearer = nearest.peek().is_none_or(|furthest| distance < furthest);
                if !(is_nearer || always_add) || self.levels[neighbour as usize] < layer {
                    continue;
                }
                let found = Ranked::new(distance, neighbour);
                candidates.push(found);
                nearest.push(found);
                counted += 1;
                if counted > ef {
                    nearest.pop();
                }
            }
        }
        let mut found: Vec<Ranked> = std::iter::from_fn(|| nearest.pop()).collect();
        found.reverse();
        found
    }
}
