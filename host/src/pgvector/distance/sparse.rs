//! sparsevec.

use std::cmp::Ordering;

use super::Rows;
use crate::pgvector::Metric;
use crate::pgvector::store::VectorStore;

/// Rows of `sparsevec`, as a merge of the ascending indices.
pub(crate) struct SparseRows<'a> {
    store: &'a VectorStore,
    metric: Metric,
}

pub(crate) struct SparseQuery {
    indices: Vec<u32>,
    values: Vec<f32>,
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
        SparseQuery { indices: indices.to_vec(), values: values.to_vec() }
    }

    fn distance(&self, query: &SparseQuery, i: usize) -> f32 {
        let row = self.store.sparse_row(i).unwrap_or_default();
        let query = (&query.indices[..], &query.values[..]);
        match self.metric {
            Metric::L2 => merge(row, query, |a, b| (a - b) * (a - b)),
            Metric::L1 => merge(row, query, |a, b| (a - b).abs()),
            _ => -merge(row, query, |a, b| a * b),
        }
    }
}

/// The sum of a term over every index that either vector holds.
#[inline(always)]
fn merge(a: (&[u32], &[f32]), b: (&[u32], &[f32]), term: impl Fn(f32, f32) -> f32) -> f32 {
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
            let mut store = VectorStore::new(VectorType::SparseVec, 10);
            store.push_content(&sparsevec_content(10, a)).unwrap();
            store.push_content(&sparsevec_content(10, b)).unwrap();
            let rows = SparseRows::of(&store, metric).unwrap();
            assert_eq!(rows.distance(&rows.query(0), 1), expected, "{metric:?}");
            assert_eq!(rows.distance(&rows.query(1), 0), expected, "{metric:?}");
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
