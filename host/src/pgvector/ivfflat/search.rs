//! pgvector's search (`GetScanLists`, `GetScanItems`), over the decoded lists.

use crate::pgvector::distance::{Ranked, Rows};
use crate::pgvector::pairing_heap::{First, PairingHeap};

use super::index::IvfflatIndex;

impl IvfflatIndex {
    /// The `probes` lists whose centres are nearest, furthest first.
    pub(crate) fn nearest_lists<'a, R: Rows<'a>>(&self, centres: &R, query: &R::Query, probes: u32) -> Vec<u32> {
        let probes = (probes.max(1) as usize).min(self.list_count());
        let mut nearest = PairingHeap::new(First::Furthest);
        for list in 0..self.list_count() {
            let distance = centres.distance(query, list);
            if list >= probes {
                if nearest.peek().is_none_or(|furthest| distance >= furthest) {
                    continue;
                }
                nearest.pop();
            }
            nearest.push(Ranked::new(distance, list as u32));
        }
        std::iter::from_fn(|| nearest.pop()).map(|list| list.row()).collect()
    }

    /// The nearest `keep` entries of what an index scan returns, in its order; whether there were more; and the
    /// number of distance computations (centres and entries).
    pub(crate) fn search_one<'a, R: Rows<'a>>(
        &self,
        centres: &R,
        rows: &R,
        query: &R::Query,
        probes: u32,
        keep: usize,
    ) -> (Vec<Ranked>, bool, u32) {
        let mut found = Vec::new();
        for list in self.nearest_lists(centres, query, probes) {
            for entries in self.entries(list as usize) {
                found.extend(entries.clone().map(|entry| Ranked::new(rows.distance(query, entry as usize), entry)));
            }
        }
        let cost = (self.list_count() + found.len()).min(u32::MAX as usize) as u32;
        let is_truncated = found.len() > keep;
        if is_truncated {
            found.select_nth_unstable(keep);
            found.truncate(keep);
        }
        found.sort_unstable();
        (found, is_truncated, cost)
    }
}
