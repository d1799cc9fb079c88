//! pgvector's search (`HnswSearchLayer`, `GetScanItems`), over the decoded graph.

use crate::pgvector::distance::{Ranked, Rows};
use crate::pgvector::store::VectorStore;

use super::index::{BROKEN, Entry, HnswIndex};
use super::scratch::Scratch;

/// What one search cost and met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SearchCost {
    pub distances: u32,
    /// Links to deleted or missing elements; pgvector would fail there.
    pub broken_links: u32,
}

/// Where the upper layers lead a query: the same whatever `ef_search` is.
pub(crate) struct Descent {
    nearest: Ranked,
    cost: SearchCost,
}

/// What a search is for.
trait Goal {
    /// Whether the search may end because it adds this element to its result.
    fn is_reached_by(&self, _added: Ranked) -> bool {
        false
    }

    /// Whether the search may end because its result is full of elements that are at most so far away.
    fn is_reached_within(&self, _furthest: f32) -> bool {
        false
    }
}

/// All that the search finds.
struct All;

impl Goal for All {}

/// To answer an element. Such a search may end with the first element of the same vector that it adds: that one only
/// leaves the result when `ef_search` others fill it that are at least as near, which answers the element as well. And
/// what fills the result only ever gets nearer.
struct Answer<'a> {
    store: &'a VectorStore,
    element: u32,
    own_distance: f32,
}

impl Goal for Answer<'_> {
    fn is_reached_by(&self, added: Ranked) -> bool {
        let is_identical = || self.store.same_vector(added.row() as usize, self.store, self.element as usize);
        added.row() == self.element || (added.distance() <= self.own_distance && is_identical())
    }

    fn is_reached_within(&self, furthest: f32) -> bool {
        furthest <= self.own_distance
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    GoalReached,
    /// What was found is in the scratch memory.
    Exhausted,
}

impl HnswIndex {
    /// Begins the searches for another query; what the scratch memory knows of the one before is forgotten. None
    /// where the index has no entry point to search from.
    pub(crate) fn descend<'a, R: Rows<'a>>(
        &self,
        rows: &R,
        query: &R::Query,
        scratch: &mut Scratch,
    ) -> Option<Descent> {
        scratch.next_query();
        let Entry::Element(entry) = self.entry else { return None };
        let mut cost = SearchCost { distances: 1, ..SearchCost::default() };
        let mut nearest = Ranked::new(rows.distance(query, entry as usize), entry);
        for layer in (1..=self.levels[entry as usize]).rev() {
            self.search_layer(rows, query, nearest, 1, layer, scratch, &mut cost, &All);
            nearest = scratch.nearest.pop().unwrap_or(nearest);
        }
        Some(Descent { nearest, cost })
    }

    /// The elements that an index scan visits in its order, nearest first: at most `ef_search`, rows or not. The
    /// searches of one query at several `ef_search` compute each distance once.
    pub(crate) fn search_from<'a, R: Rows<'a>>(
        &self,
        descent: &Descent,
        rows: &R,
        query: &R::Query,
        ef_search: u32,
        scratch: &mut Scratch,
    ) -> (Vec<Ranked>, SearchCost) {
        let (ef, mut cost) = (ef_search.max(1) as usize, descent.cost);
        self.search_layer(rows, query, descent.nearest, ef, 0, scratch, &mut cost, &All);
        let mut found: Vec<Ranked> = std::iter::from_fn(|| scratch.nearest.pop()).collect();
        found.reverse();
        (found, cost)
    }

    /// Whether a search for an element's own vector answers it: its result holds the element or an identical one,
    /// or it is full of elements at least as near.
    pub(crate) fn finds_itself<'a, R: Rows<'a>>(
        &self,
        rows: &R,
        element: u32,
        ef_search: u32,
        scratch: &mut Scratch,
    ) -> bool {
        let query = rows.query(element as usize);
        let Some(descent) = self.descend(rows, &query, scratch) else { return false };
        let own_distance = rows.distance(&query, element as usize);
        let goal = Answer { store: self.store(), element, own_distance };
        let (ef, mut cost) = (ef_search.max(1) as usize, descent.cost);
        self.search_layer(rows, &query, descent.nearest, ef, 0, scratch, &mut cost, &goal) == Ending::GoalReached
    }

    /// `HnswSearchLayer`: the order of its checks decides what is found. Leaves that in `scratch.nearest`.
    #[expect(clippy::too_many_arguments)]
    fn search_layer<'a, R: Rows<'a>>(
        &self,
        rows: &R,
        query: &R::Query,
        from: Ranked,
        ef: usize,
        layer: u8,
        scratch: &mut Scratch,
        cost: &mut SearchCost,
        goal: &impl Goal,
    ) -> Ending {
        scratch.next_round();
        scratch.know(from);
        scratch.candidates.push(from);
        scratch.nearest.push(from);
        // As in pgvector this only grows: once it reaches ef, `nearest` holds ef elements.
        let mut counted = 1;
        let mut is_reached = goal.is_reached_by(from);
        while let (false, Some(candidate), Some(furthest)) =
            (is_reached, scratch.candidates.pop(), scratch.nearest.peek())
        {
            if candidate.distance() > furthest {
                break;
            }
            scratch.unvisited.clear();
            for &neighbour in self.links(candidate.row() as usize, layer) {
                if neighbour == BROKEN {
                    cost.broken_links += 1;
                } else {
                    scratch.visit(neighbour, rows);
                }
            }
            cost.distances += scratch.unvisited.len() as u32;
            for i in 0..scratch.unvisited.len() {
                let always_add = counted < ef;
                let found = scratch.measure(i, rows, query);
                let is_nearer = scratch.nearest.peek().is_none_or(|furthest| found.distance() < furthest);
                if !(is_nearer || always_add) || self.levels[found.row() as usize] < layer {
                    continue;
                }
                scratch.candidates.push(found);
                scratch.nearest.push(found);
                counted += 1;
                if counted > ef {
                    scratch.nearest.pop();
                }
                if goal.is_reached_by(found) {
                    is_reached = true;
                    break;
                }
            }
            is_reached |= counted >= ef && scratch.nearest.peek().is_some_and(|f| goal.is_reached_within(f));
        }
        if is_reached {
            // Some of what was visited last has no distance yet.
            scratch.next_query();
            return Ending::GoalReached;
        }
        Ending::Exhausted
    }
}
