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
    /// 0 to 1: how much of what lists can explain the stored centres still do: (T - C) / (T - M), where T is the sum of
    /// the squared distances of the entries to the mean of all, C that to the stored centre of their list, and M that
    /// to the mean of their list, times n / (n - 1) for a list of n (that mean is of these entries, the centre is not).
    /// Near 1 when freshly trained, 0 when the centres are no better than a single one, lower than 1 as soon as the
    /// lists were filled with other rows than they were trained on. Lists of at least two entries count. Directions
    /// (normalised vectors) for inner product and cosine; differing bits, and the majority of each, for bit.
    /// None where the entries form no lists (T <= M) or the vectors were not kept.
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
        let lists: Vec<usize> = (0..self.list_count()).filter(|list| self.list_size(*list) > 1).collect();
        let sums: Vec<Vec<f64>> = lists.par_iter().map(|list| self.sum(*list)).collect();
        let count: u64 = lists.iter().map(|list| self.list_size(*list)).sum();
        let mut total = vec![0.0; self.meta.dimensions as usize];
        for sum in &sums {
            total.iter_mut().zip(sum).for_each(|(total, x)| *total += x);
        }
        let mean_of_all = self.centre_of(total, count as f64);
        let add = |a: [f64; 3], b: [f64; 3]| [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
        let spread = |(list, sum): (&usize, Vec<f64>)| {
            let size = self.list_size(*list) as f64;
            let mut centre = Vec::new();
            widen(&self.centres, *list, self.metric.is_spherical(), &mut centre);
            let stored: Vec<f64> = centre.iter().map(|x| f64::from(*x)).collect();
            let [all, own, stored] = self.spread(*list, [&mean_of_all, &self.centre_of(sum, size), &stored]);
            [all, own * size / (size - 1.0), stored]
        };
        let [all, own, stored] = lists.par_iter().zip(sums).map(spread).reduce(|| [0.0; 3], add);
        (all > own).then(|| ((all - stored) / (all - own)).clamp(0.0, 1.0))
    }

    fn members(&self, list: usize) -> impl Iterator<Item = usize> {
        self.entries(list).iter().cloned().flatten().map(|entry| entry as usize)
    }

    fn sum(&self, list: usize) -> Vec<f64> {
        let mut sum = vec![0.0; self.meta.dimensions as usize];
        let mut vector = Vec::new();
        for entry in self.members(list) {
            widen(self.store(), entry, self.metric.is_spherical(), &mut vector);
            sum.iter_mut().zip(&vector).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        sum
    }

    /// What k-means makes of the sum of `size` vectors.
    fn centre_of(&self, mut sum: Vec<f64>, size: f64) -> Vec<f64> {
        let is_bit = matches!(self.store(), VectorStore::Bit { .. });
        let norm = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
        for x in &mut sum {
            *x = match (is_bit, self.metric.is_spherical()) {
                (true, _) => f64::from(u8::from(*x / size > 0.5)),
                (false, true) if norm > 0.0 => *x / norm,
                (false, _) => *x / size,
            };
        }
        sum
    }

    /// The sums of the squared distances of a list's entries to each of three points.
    fn spread(&self, list: usize, points: [&[f64]; 3]) -> [f64; 3] {
        let mut sums = [0.0; 3];
        let mut vector = Vec::new();
        for entry in self.members(list) {
            widen(self.store(), entry, self.metric.is_spherical(), &mut vector);
            for (sum, point) in sums.iter_mut().zip(points) {
                let squares = vector.iter().zip(point).map(|(x, c)| (f64::from(*x) - c) * (f64::from(*x) - c));
                *sum += squares.sum::<f64>();
            }
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
