//! pgvector's search (`GetScanLists`, `GetScanItems`), over the decoded lists.

use std::collections::HashMap;

use crate::pgvector::distance::{Ranked, Rows};
use crate::pgvector::pairing_heap::{First, PairingHeap};

use super::index::IvfflatIndex;

impl IvfflatIndex {
    fn centre_distances<'a, R: Rows<'a>>(&self, centres: &R, query: &R::Query) -> Vec<f32> {
        (0..self.list_count()).map(|list| centres.distance(query, list)).collect()
    }

    /// Whether a search at `probes` comes to `list`.
    pub(crate) fn probes_list<'a, R: Rows<'a>>(&self, centres: &R, query: &R::Query, probes: u32, list: u32) -> bool {
        let distances = self.centre_distances(centres, query);
        let own = distances[list as usize];
        let nearer = distances.iter().filter(|d| **d < own).count();
        let further = distances.iter().filter(|d| **d > own).count();
        let limit = probes.max(1) as usize;
        // Which of several equally near lists are taken, only the search itself tells.
        nearer < limit && (distances.len() - further <= limit || nearest_lists(&distances, probes).contains(&list))
    }
}

/// The `probes` lists whose centres are nearest, furthest first.
fn nearest_lists(distances: &[f32], probes: u32) -> Vec<u32> {
    let probes = (probes.max(1) as usize).min(distances.len());
    let mut nearest = PairingHeap::new(First::Furthest);
    for (list, distance) in distances.iter().enumerate() {
        if list >= probes {
            if nearest.peek().is_none_or(|furthest| *distance >= furthest) {
                continue;
            }
            nearest.pop();
        }
        nearest.push(Ranked::new(*distance, list as u32));
    }
    std::iter::from_fn(|| nearest.pop()).map(|list| list.row()).collect()
}

/// The searches of one query, which compare it with each list once.
pub(crate) struct ListSearch<'s, 'a, R: Rows<'a>> {
    index: &'s IvfflatIndex,
    rows: &'s R,
    query: &'s R::Query,
    keep: usize,
    centre_distances: Vec<f32>,
    lists: HashMap<u32, List>,
}

/// What a list holds for a query.
struct List {
    /// As many of the nearest entries as can be wanted, in no order.
    nearest: Vec<Ranked>,
    /// Of all entries.
    count: usize,
}

impl<'s, 'a, R: Rows<'a>> ListSearch<'s, 'a, R> {
    /// Of which `keep` entries are wanted at each number of probes.
    pub fn new(index: &'s IvfflatIndex, centres: &R, rows: &'s R, query: &'s R::Query, keep: usize) -> Self {
        let centre_distances = index.centre_distances(centres, query);
        ListSearch { index, rows, query, keep, centre_distances, lists: HashMap::new() }
    }

    /// The nearest entries of what an index scan returns, in its order; whether there were more; and the number of
    /// distance computations of such a scan (centres and entries).
    pub fn at(&mut self, probes: u32) -> (Vec<Ranked>, bool, u32) {
        let (mut found, mut count) = (Vec::new(), 0);
        for number in nearest_lists(&self.centre_distances, probes) {
            let (index, rows, query, keep) = (self.index, self.rows, self.query, self.keep);
            let list = self.lists.entry(number).or_insert_with(|| List::scan(index, rows, query, number, keep));
            found.extend_from_slice(&list.nearest);
            count += list.count;
        }
        keep_nearest(&mut found, self.keep);
        found.sort_unstable();
        let cost = (self.index.list_count() + count).min(u32::MAX as usize) as u32;
        (found, count > self.keep, cost)
    }
}

impl List {
    fn scan<'a, R: Rows<'a>>(index: &IvfflatIndex, rows: &R, query: &R::Query, list: u32, keep: usize) -> Self {
        let mut nearest = Vec::new();
        for entries in index.entries(list as usize) {
            nearest.extend(entries.clone().map(|entry| Ranked::new(rows.distance(query, entry as usize), entry)));
        }
        let count = nearest.len();
        keep_nearest(&mut nearest, keep);
        List { nearest, count }
    }
}

fn keep_nearest(entries: &mut Vec<Ranked>, keep: usize) {
    if entries.len() > keep {
        entries.select_nth_unstable(keep);
        entries.truncate(keep);
    }
}
