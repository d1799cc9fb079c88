//! pgvector's search (`GetScanLists`, `GetScanItems`), over the decoded lists.

use crate::pgvector::distance::{Ranked, Rows};

use super::index::IvfflatIndex;

impl IvfflatIndex {
    /// The `probes` lists whose centres are nearest. Of equally near ones the first in the index, because pgvector
    /// replaces one only by a nearer one.
    pub(crate) fn nearest_lists<'a, R: Rows<'a>>(&self, centres: &R, query: &R::Query, probes: u32) -> Vec<u32> {
        let mut ranked: Vec<Ranked> =
            (0..self.list_count()).map(|list| Ranked::new(centres.distance(query, list), list as u32)).collect();
        let probes = (probes.max(1) as usize).min(ranked.len());
        if probes < ranked.len() {
            ranked.select_nth_unstable(probes);
            ranked.truncate(probes);
        }
        ranked.sort_unstable();
        ranked.iter().map(|list| list.row()).collect()
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
