//! The scores of the lists. Their formulas are at the fields of [`ClusterHealth`].

use half::f16;
use rayon::prelude::*;

use crate::pgvector::stash::BlockState;
use crate::pgvector::store::{VectorStore, bit_bytes, row};

use super::index::IvfflatIndex;

const LINE_POINTER_BYTES: u64 = 4;

/// The figures of an IVFFlat index's lists.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterHealth {
    pub lists: u32,
    pub dimensions: u32,
    pub entries: u64,
    /// Lists without an entry.
    pub empty_clusters: u32,
    /// Standard deviation of the list sizes over their mean, from 0 (all equal) to sqrt(lists - 1); 0 for an index
    /// without entries.
    pub cluster_balance: f64,
    /// 0 to 1: how well the stored centres still stand for the entries. The sum, over the lists of at least two
    /// entries, of the squared distances of the entries to the mean of their list, n / (n - 1) times (the mean is of
    /// these entries and the centre is not), over the sum of those to the stored centre. Near 1 when freshly
    /// trained; low when the lists were filled with other rows than they were trained on. Directions (normalised
    /// vectors) count for inner product and cosine; differing bits, and the majority of each bit, for bit.
    /// None where no list has two entries or the vectors were not kept.
    pub centroid_quality: Option<f64>,
    /// 0 to 1: usable free space over all bytes of the entry pages. Usable is what another entry would fit into, in
    /// whole entries; the last page of a list's chain is still being filled and does not count.
    pub fragmentation: f64,
    /// Entry pages that no list's chain leads to.
    pub pages_unlinked: u64,
    /// All pages but the meta page.
    pub pages: u64,
    /// All-zero pages: allocated, never written.
    pub pages_empty: u64,
    /// Pages that could not be decoded or were never read, ascending. Where there is one, every count is a lower bound.
    pub pages_unknown: Vec<u32>,
}

impl IvfflatIndex {
    pub(crate) fn health(&self) -> ClusterHealth {
        let sizes: Vec<u64> = (0..self.list_count()).map(|list| self.list_size(list)).collect();
        let known = (self.blocks.len() as u32).max(self.pages_expected);
        let is_unknown = |block: &u32| self.blocks.get(*block as usize).is_none_or(|b| b.state.is_unknown());
        ClusterHealth {
            lists: self.meta.lists,
            dimensions: self.meta.dimensions,
            entries: sizes.iter().sum(),
            empty_clusters: sizes.iter().filter(|size| **size == 0).count() as u32,
            cluster_balance: balance(&sizes),
            centroid_quality: self.centroid_quality(),
            fragmentation: self.fragmentation(),
            pages_unlinked: self.pages_unlinked,
            pages: self.blocks.len().saturating_sub(1) as u64,
            pages_empty: self.blocks.iter().filter(|b| b.state == BlockState::Empty).count() as u64,
            pages_unknown: (0..known).filter(is_unknown).collect(),
        }
    }

    fn list_size(&self, list: usize) -> u64 {
        self.entries(list).iter().map(|entries| entries.len() as u64).sum()
    }

    fn fragmentation(&self) -> f64 {
        let first_entry_page = self.meta.list_pages as usize + 1;
        let entry_pages = self.blocks.get(first_entry_page..).unwrap_or_default();
        let count = |state| entry_pages.iter().filter(|b| b.state == state).count() as u64;
        let (written, empty) = (count(BlockState::Decoded), count(BlockState::Empty));
        if written + empty == 0 {
            return 0.0;
        }
        let entry_bytes = self.tuple_bytes.div_ceil((self.entry_count() as u64).max(1)) + LINE_POINTER_BYTES;
        let free: u64 = self.inner_free_bytes.iter().map(|free| u64::from(*free) / entry_bytes * entry_bytes).sum();
        let page_size = self.page_size as u64;
        (free + empty * page_size) as f64 / ((written + empty) * page_size) as f64
    }

    fn centroid_quality(&self) -> Option<f64> {
        if !self.keeps_vectors() {
            return None;
        }
        let spread = |list: usize| match self.list_size(list) {
            0 | 1 => [0.0; 2],
            size => {
                let [to_mean, to_centre] = self.spread(list, size as f64);
                [to_mean * size as f64 / (size - 1) as f64, to_centre]
            }
        };
        let sum = |a: [f64; 2], b: [f64; 2]| [a[0] + b[0], a[1] + b[1]];
        let has_members = (0..self.list_count()).any(|list| self.list_size(list) > 1);
        let [to_mean, to_centre] = (0..self.list_count()).into_par_iter().map(spread).reduce(|| [0.0; 2], sum);
        match (has_members, to_centre > 0.0) {
            (false, _) => None,
            // Every entry lies at its centre.
            (true, false) => Some(1.0),
            (true, true) => Some((to_mean / to_centre).min(1.0)),
        }
    }

    /// The sums of the squared distances of a list's entries to their mean and to the stored centre.
    fn spread(&self, list: usize, size: f64) -> [f64; 2] {
        let is_spherical = self.metric.is_spherical();
        let members = || self.entries(list).iter().cloned().flatten();
        let mut mean = vec![0.0_f64; self.meta.dimensions as usize];
        let mut vector = Vec::new();
        for entry in members() {
            widen(self.store(), entry as usize, is_spherical, &mut vector);
            mean.iter_mut().zip(&vector).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        mean.iter_mut().for_each(|x| *x /= size);
        if let VectorStore::Bit { .. } = self.store() {
            mean.iter_mut().for_each(|x| *x = if *x > 0.5 { 1.0 } else { 0.0 });
        }
        if is_spherical {
            let norm = mean.iter().map(|x| x * x).sum::<f64>().sqrt();
            if norm > 0.0 {
                mean.iter_mut().for_each(|x| *x /= norm);
            }
        }
        let mut centre = Vec::new();
        widen(&self.centres, list, is_spherical, &mut centre);
        let mut sums = [0.0; 2];
        for entry in members() {
            widen(self.store(), entry as usize, is_spherical, &mut vector);
            let square = |x: f64| x * x;
            sums[0] += vector.iter().zip(&mean).map(|(x, m)| square(f64::from(*x) - m)).sum::<f64>();
            sums[1] += vector.iter().zip(&centre).map(|(x, c)| square(f64::from(*x) - f64::from(*c))).sum::<f64>();
        }
        sums
    }
}

/// A vector as numbers, of length 1 where directions count; bits are 0 and 1, so that a squared difference is a
/// differing bit.
fn widen(store: &VectorStore, i: usize, is_spherical: bool, out: &mut Vec<f32>) {
    out.clear();
    match store {
        VectorStore::Vector { dimensions, data } => out.extend_from_slice(row(data, *dimensions as usize, i)),
        VectorStore::HalfVec { dimensions, data } => {
            out.extend(row(data, *dimensions as usize, i).iter().map(|x| f16::from_bits(*x).to_f32()));
        }
        VectorStore::Bit { dimensions, data } => {
            let bytes = row(data, bit_bytes(*dimensions), i);
            out.extend((0..*dimensions as usize).map(|at| f32::from(bytes[at / 8] >> (7 - at % 8) & 1)));
        }
        // IVFFlat has none.
        VectorStore::SparseVec { .. } => {}
    }
    if is_spherical {
        let norm = out.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        if norm > 0.0 {
            out.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
        }
    }
}

fn balance(sizes: &[u64]) -> f64 {
    let count = sizes.len().max(1) as f64;
    let mean = sizes.iter().sum::<u64>() as f64 / count;
    if mean == 0.0 {
        return 0.0;
    }
    let variance = sizes.iter().map(|size| (*size as f64 - mean) * (*size as f64 - mean)).sum::<f64>() / count;
    variance.sqrt() / mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balance_of_sizes() {
        let check = |sizes: &[u64], expected: f64| assert!((balance(sizes) - expected).abs() < 1e-12, "{sizes:?}");
        check(&[5, 5, 5], 0.0);
        check(&[0, 0, 0, 8], 3.0_f64.sqrt());
        check(&[1, 3], 0.5);
        check(&[0, 0], 0.0);
        check(&[], 0.0);
    }
}
