//! bit.

use super::{Rows, prefetch};
use crate::pgvector::Metric;
use crate::pgvector::store::{VectorStore, bit_bytes, row};

/// Rows of `bit`. The padding of the last byte is zero in both vectors.
pub(crate) struct BitRows<'a> {
    bytes: usize,
    data: &'a [u8],
    distance: fn(&[u8], &[u8]) -> f32,
}

impl<'a> Rows<'a> for BitRows<'a> {
    type Query = Vec<u8>;

    fn of(store: &'a VectorStore, metric: Metric) -> Option<Self> {
        let VectorStore::Bit { dimensions, data } = store else { return None };
        let distance: fn(&[u8], &[u8]) -> f32 = match (metric, has_popcnt()) {
            (Metric::Hamming, false) => hamming,
            (Metric::Jaccard, false) => jaccard,
            #[cfg(target_arch = "x86_64")]
            // SAFETY (of both): the CPU has the instruction, as just detected.
            (Metric::Hamming, true) => |a, b| unsafe { hamming_popcnt(a, b) },
            #[cfg(target_arch = "x86_64")]
            (Metric::Jaccard, true) => |a, b| unsafe { jaccard_popcnt(a, b) },
            _ => return None,
        };
        Some(BitRows { bytes: bit_bytes(*dimensions), data, distance })
    }

    fn row_bytes(&self) -> usize {
        self.bytes
    }

    fn query(&self, i: usize) -> Vec<u8> {
        row(self.data, self.bytes, i).to_vec()
    }

    #[inline]
    fn distance(&self, query: &Vec<u8>, i: usize) -> f32 {
        (self.distance)(row(self.data, self.bytes, i), query)
    }

    #[inline]
    fn prefetch(&self, i: usize) {
        prefetch(row(self.data, self.bytes, i));
    }
}

fn has_popcnt() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("popcnt");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Sums a count over all words of eight bytes, the last one filled up with zeros.
#[inline(always)]
fn sum_words<const N: usize>(a: &[u8], b: &[u8], count: impl Fn(u64, u64) -> [u32; N]) -> [u64; N] {
    let mut sums = [0; N];
    let mut add = |x: u64, y: u64| {
        for (sum, count) in sums.iter_mut().zip(count(x, y)) {
            *sum += u64::from(count);
        }
    };
    let (a_words, a_rest) = a.as_chunks::<8>();
    let (b_words, b_rest) = b.as_chunks::<8>();
    for (x, y) in a_words.iter().zip(b_words) {
        add(u64::from_le_bytes(*x), u64::from_le_bytes(*y));
    }
    if !a_rest.is_empty() {
        let last = |rest: &[u8]| rest.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte));
        add(last(a_rest), last(b_rest));
    }
    sums
}

#[inline(always)]
fn hamming(a: &[u8], b: &[u8]) -> f32 {
    let [differing] = sum_words(a, b, |x, y| [(x ^ y).count_ones()]);
    differing as f32
}

#[inline(always)]
fn jaccard(a: &[u8], b: &[u8]) -> f32 {
    let [both, first, second] = sum_words(a, b, |x, y| [(x & y).count_ones(), x.count_ones(), y.count_ones()]);
    if both == 0 { 1.0 } else { (1.0 - both as f64 / (first + second - both) as f64) as f32 }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt")]
fn hamming_popcnt(a: &[u8], b: &[u8]) -> f32 {
    hamming(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt")]
fn jaccard_popcnt(a: &[u8], b: &[u8]) -> f32 {
    jaccard(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pgvector::VectorType;
    use crate::pgvector::fixture::bit_content;

    #[test]
    fn distances_of_bits() {
        let check = |metric, a: [u8; 10], b: [u8; 10], expected: f32| {
            let mut store = VectorStore::new(VectorType::Bit, 80);
            store.push_content(&bit_content(80, &a)).unwrap();
            store.push_content(&bit_content(80, &b)).unwrap();
            let rows = BitRows::of(&store, metric).unwrap();
            assert_eq!(rows.distance(&rows.query(0), 1), expected);
            let portable = if metric == Metric::Hamming { hamming } else { jaccard };
            assert_eq!(portable(&a, &b), expected);
        };
        let a = [0xFF, 0, 0, 0, 0, 0, 0, 0, 0x0F, 1];
        let b = [0x0F, 0, 0, 0, 0, 0, 0, 0, 0xFF, 1];
        check(Metric::Hamming, a, b, 8.0);
        check(Metric::Hamming, a, a, 0.0);
        check(Metric::Jaccard, a, b, (1.0 - 9.0 / 17.0_f64) as f32);
        check(Metric::Jaccard, a, a, 0.0);
        check(Metric::Jaccard, [0; 10], [0; 10], 1.0);
    }
}
