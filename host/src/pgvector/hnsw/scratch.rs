use std::sync::{Mutex, PoisonError};

use crate::pgvector::distance::{Ranked, Rows};
use crate::pgvector::pairing_heap::{First, PairingHeap};

use super::index::HnswIndex;

/// Memory that searches of one thread share.
pub(crate) struct Scratch {
    seen: Vec<Seen>,
    /// Counts the searches of layers.
    round: u32,
    /// The first round of the present query: what was visited since then has a distance to it.
    query_round: u32,
    pub(super) candidates: PairingHeap,
    pub(super) nearest: PairingHeap,
    pub(super) unvisited: Vec<Unvisited>,
}

/// What is known of an element.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// The round that last visited it.
    round: u32,
    /// To the query of that round.
    distance: f32,
}

/// A neighbour that the search has not seen before.
pub(super) struct Unvisited {
    row: u32,
    /// From an earlier search of the same query.
    distance: Option<f32>,
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
        let mut scratch = taken.unwrap_or_else(|| Scratch::new(self.index.element_count()));
        let result = work(&mut scratch);
        free().push(scratch);
        result
    }
}

impl Scratch {
    fn new(elements: usize) -> Self {
        Scratch {
            seen: vec![Seen::default(); elements],
            round: 0,
            query_round: 1,
            candidates: PairingHeap::new(First::Nearest),
            nearest: PairingHeap::new(First::Furthest),
            unvisited: Vec::new(),
        }
    }

    /// Forgets all distances.
    pub(super) fn next_query(&mut self) {
        self.query_round = self.round.saturating_add(1);
    }

    /// Begins the search of a layer: nothing is visited.
    pub(super) fn next_round(&mut self) {
        self.round = self.round.checked_add(1).unwrap_or_else(|| {
            self.seen.fill(Seen::default());
            self.query_round = 1;
            1
        });
        self.candidates.clear();
        self.nearest.clear();
    }

    /// Marks an element as visited whose distance is known.
    pub(super) fn know(&mut self, element: Ranked) {
        self.seen[element.row() as usize] = Seen { round: self.round, distance: element.distance() };
    }

    /// Marks an element as visited; appends it to `unvisited` if it was not.
    #[inline]
    pub(super) fn visit<'a, R: Rows<'a>>(&mut self, row: u32, rows: &R) {
        let seen = &mut self.seen[row as usize];
        let before = std::mem::replace(&mut seen.round, self.round);
        if before == self.round {
            return;
        }
        let distance = (before >= self.query_round).then_some(seen.distance);
        if distance.is_none() {
            rows.prefetch(row as usize);
        }
        self.unvisited.push(Unvisited { row, distance });
    }

    /// The i-th of `unvisited` with its distance.
    #[inline]
    pub(super) fn measure<'a, R: Rows<'a>>(&mut self, i: usize, rows: &R, query: &R::Query) -> Ranked {
        let Unvisited { row, distance } = self.unvisited[i];
        let distance = distance.unwrap_or_else(|| {
            let distance = rows.distance(query, row as usize);
            self.seen[row as usize].distance = distance;
            distance
        });
        Ranked::new(distance, row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_that_run_out_forget_everything() {
        let mut scratch = Scratch::new(2);
        scratch.round = u32::MAX - 1;
        scratch.next_query();
        scratch.next_round();
        scratch.know(Ranked::new(7.0, 1));
        scratch.next_round();
        assert_eq!((scratch.round, scratch.query_round), (1, 1));
        assert_eq!(scratch.seen[1].round, 0);
        scratch.next_query();
        assert_eq!(scratch.query_round, 2);
    }
}
