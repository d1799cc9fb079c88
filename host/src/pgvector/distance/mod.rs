//! Distances as pgvector computes them in an index, in f32, vectorised where the CPU can.

mod bits;
mod dense;
mod sparse;

pub(crate) use bits::BitRows;
pub(crate) use dense::{DenseRows, HalfRows};
pub(crate) use sparse::SparseRows;

use std::ops::Range;

use super::Metric;
use super::store::VectorStore;

/// The vectors of a store under one metric. Searches are written once over this and compiled for each type.
pub(crate) trait Rows<'a>: Sync + Sized {
    /// A vector prepared for many comparisons.
    type Query: Send + Sync;

    /// None where the store holds another type.
    fn of(store: &'a VectorStore, metric: Metric) -> Option<Self>;

    /// Bytes of one vector, for the size of blocks that fit a cache.
    fn row_bytes(&self) -> usize;

    fn query(&self, row: usize) -> Self::Query;

    fn distance(&self, query: &Self::Query, row: usize) -> f32;

    /// Says that a row's distance will be asked for soon.
    fn prefetch(&self, _row: usize) {}

    /// Distances of many queries to many rows: query q and the i-th row at `out[q * rows.len() + i]`. May sum in
    /// another order than `distance`.
    fn distances(&self, queries: &[Self::Query], rows: Range<usize>, out: &mut [f32]) {
        for (query, out) in queries.iter().zip(out.chunks_mut(rows.len().max(1))) {
            for (row, out) in rows.clone().zip(out) {
                *out = self.distance(query, row);
            }
        }
    }
}

/// Lets the cache load the beginning of a row; the CPU follows by itself once it is read.
#[inline(always)]
fn prefetch<T>(row: &[T]) {
    const LINE_BYTES: usize = 64;
    const LINES: usize = 4;
    #[cfg(target_arch = "x86_64")]
    for at in (0..size_of_val(row).min(LINES * LINE_BYTES)).step_by(LINE_BYTES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: `at` is within the row; a prefetch reads nothing anyway.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(row.as_ptr().cast::<i8>().add(at)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}

/// A distance and a row as one number that sorts by distance, then row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ranked(u64);

impl Ranked {
    pub fn new(distance: f32, row: u32) -> Self {
        // Adding 0 makes -0.0 and 0.0 the same. The bits of a float sort like an integer once those of negative
        // ones are flipped.
        let bits = (distance + 0.0).to_bits();
        let ordered = if bits >> 31 == 1 { !bits } else { bits | 0x8000_0000 };
        Ranked((u64::from(ordered) << 32) | u64::from(row))
    }

    pub fn distance(self) -> f32 {
        let ordered = (self.0 >> 32) as u32;
        f32::from_bits(if ordered >> 31 == 1 { ordered & 0x7FFF_FFFF } else { !ordered })
    }

    pub fn row(self) -> u32 {
        self.0 as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranked_sorts_like_the_distance() {
        let distances = [f32::NEG_INFINITY, -2.0, -1e-40, 0.0, 1e-40, 0.5, 3.0, f32::INFINITY];
        for pair in distances.windows(2) {
            assert!(Ranked::new(pair[0], 9) < Ranked::new(pair[1], 1), "{pair:?}");
        }
        for distance in distances {
            assert_eq!(Ranked::new(distance, 7).distance(), distance);
            assert_eq!(Ranked::new(distance, 7).row(), 7);
        }
        assert_eq!(Ranked::new(-0.0, 1), Ranked::new(0.0, 1));
        assert!(Ranked::new(1.0, 1) < Ranked::new(1.0, 2));
    }
}
