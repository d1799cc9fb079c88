//! vector and halfvec.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;

use std::ops::Range;

use super::{Rows, prefetch};
use crate::pgvector::Metric;
use crate::pgvector::store::{VectorStore, row};

const SQUARED_L2: u8 = 0;
const NEGATIVE_INNER_PRODUCT: u8 = 1;
const L1: u8 = 2;

const QUERIES: usize = 4;
const ROWS: usize = 2;

type Tile = [[f32; ROWS]; QUERIES];
type TileKernel = fn([&[f32]; QUERIES], [&[f32]; ROWS]) -> Tile;

/// The functions of one metric, chosen for the CPU at run time.
#[derive(Clone, Copy)]
struct Kernels {
    single: fn(&[f32], &[f32]) -> f32,
    half: fn(&[u16], &[f32]) -> f32,
    tile: TileKernel,
    widen: fn(&[u16], &mut [f32]),
}

impl Kernels {
    fn of(metric: Metric) -> Option<Self> {
        match metric {
            Metric::L2 => Some(Self::detect::<SQUARED_L2>()),
            Metric::InnerProduct | Metric::Cosine => Some(Self::detect::<NEGATIVE_INNER_PRODUCT>()),
            Metric::L1 => Some(Self::detect::<L1>()),
            Metric::Hamming | Metric::Jaccard => None,
        }
    }

    fn detect<const OP: u8>() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c") {
            // SAFETY (of all four): the CPU has the features, as just detected.
            return Kernels {
                single: |a, b| unsafe { avx2::single::<OP>(a, b) },
                half: |a, b| unsafe { avx2::half::<OP>(a, b) },
                tile: |queries, rows| unsafe { avx2::tile::<OP>(queries, rows) },
                widen: |from, to| unsafe { avx2::widen(from, to) },
            };
        }
        Self::portable::<OP>()
    }

    fn portable<const OP: u8>() -> Self {
        Kernels {
            single: portable::single::<OP>,
            half: portable::half::<OP>,
            tile: portable::tile::<OP>,
            widen: portable::widen,
        }
    }
}

#[inline(always)]
fn step<const OP: u8>(sum: f32, a: f32, b: f32) -> f32 {
    match OP {
        SQUARED_L2 => sum + (a - b) * (a - b),
        NEGATIVE_INNER_PRODUCT => sum - a * b,
        _ => sum + (a - b).abs(),
    }
}

/// Rows of `vector`.
pub(crate) struct DenseRows<'a> {
    dimensions: usize,
    data: &'a [f32],
    kernels: Kernels,
}

impl<'a> Rows<'a> for DenseRows<'a> {
    type Query = Vec<f32>;

    fn of(store: &'a VectorStore, metric: Metric) -> Option<Self> {
        match store {
            VectorStore::Vector { dimensions, data } => {
                Some(DenseRows { dimensions: *dimensions as usize, data, kernels: Kernels::of(metric)? })
            }
            _ => None,
        }
    }

    fn row_bytes(&self) -> usize {
        self.dimensions * 4
    }

    fn query(&self, i: usize) -> Vec<f32> {
        row(self.data, self.dimensions, i).to_vec()
    }

    #[inline]
    fn distance(&self, query: &Vec<f32>, i: usize) -> f32 {
        (self.kernels.single)(row(self.data, self.dimensions, i), query)
    }

    #[inline]
    fn prefetch(&self, i: usize) {
        prefetch(row(self.data, self.dimensions, i));
    }

    fn distances(&self, queries: &[Vec<f32>], rows: Range<usize>, out: &mut [f32]) {
        let block = &self.data[rows.start * self.dimensions..rows.end * self.dimensions];
        blocked(&self.kernels, self.dimensions, queries, block, out);
    }
}

/// Rows of `halfvec`; queries are widened once.
pub(crate) struct HalfRows<'a> {
    dimensions: usize,
    data: &'a [u16],
    kernels: Kernels,
}

impl<'a> Rows<'a> for HalfRows<'a> {
    type Query = Vec<f32>;

    fn of(store: &'a VectorStore, metric: Metric) -> Option<Self> {
        match store {
            VectorStore::HalfVec { dimensions, data } => {
                Some(HalfRows { dimensions: *dimensions as usize, data, kernels: Kernels::of(metric)? })
            }
            _ => None,
        }
    }

    fn row_bytes(&self) -> usize {
        self.dimensions * 4
    }

    fn query(&self, i: usize) -> Vec<f32> {
        let mut query = vec![0.0; self.dimensions];
        (self.kernels.widen)(row(self.data, self.dimensions, i), &mut query);
        query
    }

    #[inline]
    fn distance(&self, query: &Vec<f32>, i: usize) -> f32 {
        (self.kernels.half)(row(self.data, self.dimensions, i), query)
    }

    #[inline]
    fn prefetch(&self, i: usize) {
        prefetch(row(self.data, self.dimensions, i));
    }

    fn distances(&self, queries: &[Vec<f32>], rows: Range<usize>, out: &mut [f32]) {
        let narrow = &self.data[rows.start * self.dimensions..rows.end * self.dimensions];
        let mut block = vec![0.0; narrow.len()];
        (self.kernels.widen)(narrow, &mut block);
        blocked(&self.kernels, self.dimensions, queries, &block, out);
    }
}

/// Tiles of 4 queries and 2 rows: each loaded number is used several times.
fn blocked(kernels: &Kernels, dimensions: usize, queries: &[Vec<f32>], block: &[f32], out: &mut [f32]) {
    let count = block.len() / dimensions.max(1);
    let whole = (queries.len() / QUERIES * QUERIES, count / ROWS * ROWS);
    for q in (0..whole.0).step_by(QUERIES) {
        let tile_queries: [&[f32]; QUERIES] = std::array::from_fn(|i| &queries[q + i][..]);
        for r in (0..whole.1).step_by(ROWS) {
            let tile_rows = std::array::from_fn(|i| row(block, dimensions, r + i));
            let tile = (kernels.tile)(tile_queries, tile_rows);
            for (i, distances) in tile.iter().enumerate() {
                out[(q + i) * count + r..][..ROWS].copy_from_slice(distances);
            }
        }
    }
    for (q, query) in queries.iter().enumerate() {
        let first = if q < whole.0 { whole.1 } else { 0 };
        for r in first..count {
            out[q * count + r] = (kernels.single)(row(block, dimensions, r), query);
        }
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;

    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f16::from_f32((state >> 8) as f32 / (1 << 23) as f32 - 1.0).to_f32()
        };
        (0..count).map(next).collect()
    }

    fn reference(op: u8, a: &[f32], b: &[f32]) -> f64 {
        let term = |(x, y): (&f32, &f32)| {
            let (x, y) = (f64::from(*x), f64::from(*y));
            match op {
                SQUARED_L2 => (x - y) * (x - y),
                NEGATIVE_INNER_PRODUCT => -x * y,
                _ => (x - y).abs(),
            }
        };
        a.iter().zip(b).map(term).sum()
    }

    fn check<const OP: u8>(kernels: Kernels, dimensions: usize) {
        let vectors: Vec<Vec<f32>> = (0..9).map(|i| numbers(dimensions, i + 1)).collect();
        let near = |a: f32, b: f64| (f64::from(a) - b).abs() <= 1e-5 * (1.0 + dimensions as f64);
        for pair in vectors.windows(2) {
            let expected = reference(OP, &pair[0], &pair[1]);
            assert!(near((kernels.single)(&pair[0], &pair[1]), expected));
            let narrow: Vec<u16> = pair[0].iter().map(|x| f16::from_f32(*x).to_bits()).collect();
            assert!(near((kernels.half)(&narrow, &pair[1]), expected));
            let mut wide = vec![0.0; dimensions];
            (kernels.widen)(&narrow, &mut wide);
            assert_eq!(wide, pair[0]);
        }
        let rows: Vec<f32> = vectors[..5].concat();
        let queries = &vectors[2..];
        let mut out = vec![f32::NAN; queries.len() * 5];
        blocked(&kernels, dimensions, queries, &rows, &mut out);
        for (q, query) in queries.iter().enumerate() {
            for r in 0..5 {
                assert!(near(out[q * 5 + r], reference(OP, &vectors[r], query)), "{q} {r}");
            }
        }
    }

    #[test]
    fn kernels_agree_with_the_formula() {
        for dimensions in [1, 3, 7, 8, 9, 31, 32, 33, 64, 384, 1001] {
            for kernels in [Kernels::detect::<SQUARED_L2>(), Kernels::portable::<SQUARED_L2>()] {
                check::<SQUARED_L2>(kernels, dimensions);
            }
            for kernels in [Kernels::detect::<NEGATIVE_INNER_PRODUCT>(), Kernels::portable::<NEGATIVE_INNER_PRODUCT>()]
            {
                check::<NEGATIVE_INNER_PRODUCT>(kernels, dimensions);
            }
            for kernels in [Kernels::detect::<L1>(), Kernels::portable::<L1>()] {
                check::<L1>(kernels, dimensions);
            }
        }
    }
}
