//! sparsevec.

use std::cmp::Ordering;

use super::Rows;
use crate::pgvector::Metric;
use crate::pgvector::store::VectorStore;

/// Up to so many dimensions a query is spread out, so that a row's entries find their counterparts without a search.
const MAX_SPREAD_DIMENSIONS: u32 = 1 << 16;

/// Rows of `sparsevec`.
pub(crate) struct SparseRows<'a> {
    store: &'a VectorStore,
    metric: Metric,
}

pub(crate) struct SparseQuery {
    indices: Vec<u32>,
    values: Vec<f32>,
    /// The value at every index; empty where there are too many dimensions.
    spread: Vec<f32>,
    /// The distance to a row without entries.
    alone: f64,
}

impl<'a> Rows<'a> for SparseRows<'a> {
    type Query = SparseQuery;

    fn of(store: &'a VectorStore, metric: Metric) -> Option<Self> {
        let suits =
            matches!(store, VectorStore::SparseVec { .. }) && !matches!(metric, Metric::Hamming | Metric::Jaccard);
        suits.then_some(SparseRows { store, metric })
    }

    fn row_bytes(&self) -> usize {
        (self.store.bytes() as usize / self.store.len().max(1)).max(8)
    }

    fn query(&self, i: usize) -> SparseQuery {
        let (indices, values) = self.store.sparse_row(i).unwrap_or_default();
        let mut spread = Vec::new();
        if self.store.dimensions() <= MAX_SPREAD_DIMENSIONS {
            spread.resize(self.store.dimensions() as usize, 0.0);
            for (index, value) in indices.iter().zip(values) {
                spread[*index as usize] = *value;
            }
        }
        let alone = match self.metric {
            Metric::L2 => values.iter().map(|q| squared(0.0, *q)).sum(),
            Metric::L1 => values.iter().map(|q| absolute(0.0, *q)).sum(),
            _ => 0.0,
        };
        SparseQuery { indices: indices.to_vec(), values: values.to_vec(), spread, alone }
    }

    fn distance(&self, query: &SparseQuery, i: usize) -> f32 {
        let row = self.store.sparse_row(i).unwrap_or_default();
        let distance = match self.metric {
            Metric::L2 => query.sum(row, squared),
            Metric::L1 => query.sum(row, absolute),
            _ => -query.sum(row, product),
        };
        distance as f32
    }
}

fn squared(x: f32, q: f32) -> f64 {
    let difference = f64::from(x) - f64::from(q);
    difference * difference
}

fn absolute(x: f32, q: f32) -> f64 {
    (f64::from(x) - f64::from(q)).abs()
}

fn product(x: f32, q: f32) -> f64 {
    f64::from(x) * f64::from(q)
}

impl SparseQuery {
    /// The sum of a term over every index that the row or the query holds.
    #[inline(always)]
    fn sum(&self, row: (&[u32], &[f32]), term: impl Fn(f32, f32) -> f64) -> f64 {
        if self.spread.is_empty() {
            return merge(row, (&self.indices, &self.values), term);
        }
        // From the distance to nothing, by what each entry of the row changes.
        row.0.iter().zip(row.1).fold(self.alone, |sum, (index, x)| {
            let q = self.spread[*index as usize];
            sum + (term(*x, q) - term(0.0, q))
        })
    }
}

/// The sum of a term over every index that either vector holds.
#[inline(always)]
fn merge(a: (&[u32], &[f32]), b: (&[u32], &[f32]), term: impl Fn(f32, f32) -> f64) -> f64 {
    let (mut i, mut j, mut sum) = (0, 0, 0.0);
    while i < a.0.len() && j < b.0.len() {
        match a.0[i].cmp(&b.0[j]) {
            Ordering::Less => {
                sum += term(a.1[i], 0.0);
                i += 1;
            }
            Ordering::Greater => {
                sum += term(0.0, b.1[j]);
                j += 1;
            }
            Ordering::Equal => {
                sum += term(a.1[i], b.1[j]);
                i += 1;
                j += 1;
            }
        }
    }
    sum = a.1[i..].iter().fold(sum, |sum, x| sum + term(*x, 0.0));
    b.1[j..].iter().fold(sum, |sum, x| sum + term(0.0, *x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pgvector::VectorType;
    use crate::pgvector::fixture::sparsevec_content;

    #[test]
    fn distances_of_sparse_vectors() {
        let check = |metric, a: &[(u32, f32)], b: &[(u32, f32)], expected: f32| {
            for dimensions in [10, MAX_SPREAD_DIMENSIONS + 1] {
                let mut store = VectorStore::new(VectorType::SparseVec, dimensions);
                store.push_content(&sparsevec_content(dimensions, a)).unwrap();
                store.push_content(&sparsevec_content(dimensions, b)).unwrap();
                let rows = SparseRows::of(&store, metric).unwrap();
                assert_eq!(rows.distance(&rows.query(0), 1), expected, "{metric:?}");
                assert_eq!(rows.distance(&rows.query(1), 0), expected, "{metric:?}");
            }
        };
        let (a, b) = ([(0, 1.0), (4, 2.0), (9, 3.0)], [(1, 5.0), (4, 4.0)]);
        check(Metric::L2, &a, &b, 1.0 + 25.0 + 4.0 + 9.0);
        check(Metric::L1, &a, &b, 1.0 + 5.0 + 2.0 + 3.0);
        check(Metric::InnerProduct, &a, &b, -8.0);
        check(Metric::Cosine, &a, &b, -8.0);
        check(Metric::L2, &a, &[], 14.0);
        check(Metric::L2, &[], &[], 0.0);
    }
}
