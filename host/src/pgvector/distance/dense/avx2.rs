//! For CPUs with AVX2, FMA and F16C.
//!
//! Loops, and no closures over arrays: a closure that is compiled in another unit has none of the features, and then
//! each number goes through memory.

use std::arch::x86_64::*;

use half::f16;

use super::{NEGATIVE_INNER_PRODUCT, QUERIES, ROWS, SQUARED_L2, Tile, portable, step};

const LANES: usize = 8;

#[inline]
#[target_feature(enable = "avx2,fma")]
fn step8<const OP: u8>(sum: __m256, a: __m256, b: __m256) -> __m256 {
    match OP {
        SQUARED_L2 => {
            let difference = _mm256_sub_ps(a, b);
            _mm256_fmadd_ps(difference, difference, sum)
        }
        NEGATIVE_INNER_PRODUCT => _mm256_fnmadd_ps(a, b, sum),
        _ => {
            let sign = _mm256_set1_ps(-0.0);
            _mm256_add_ps(sum, _mm256_andnot_ps(sign, _mm256_sub_ps(a, b)))
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn sum8(v: __m256) -> f32 {
    let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}

#[target_feature(enable = "avx2,fma")]
pub fn single<const OP: u8>(a: &[f32], b: &[f32]) -> f32 {
    let length = a.len().min(b.len());
    let mut sums = [_mm256_setzero_ps(); 4];
    let mut i = 0;
    while i + 4 * LANES <= length {
        for (j, sum) in sums.iter_mut().enumerate() {
            // SAFETY: i + 32 <= length of both slices.
            let (x, y) = unsafe {
                (_mm256_loadu_ps(a.as_ptr().add(i + j * LANES)), _mm256_loadu_ps(b.as_ptr().add(i + j * LANES)))
            };
            *sum = step8::<OP>(*sum, x, y);
        }
        i += 4 * LANES;
    }
    while i + LANES <= length {
        // SAFETY: i + 8 <= length of both slices.
        let (x, y) = unsafe { (_mm256_loadu_ps(a.as_ptr().add(i)), _mm256_loadu_ps(b.as_ptr().add(i))) };
        sums[0] = step8::<OP>(sums[0], x, y);
        i += LANES;
    }
    let sum = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
    a[i..length].iter().zip(&b[i..length]).fold(sum8(sum), |sum, (x, y)| step::<OP>(sum, *x, *y))
}

#[target_feature(enable = "avx2,fma,f16c")]
pub fn half<const OP: u8>(a: &[u16], b: &[f32]) -> f32 {
    let length = a.len().min(b.len());
    let mut sums = [_mm256_setzero_ps(); 4];
    let mut i = 0;
    while i + LANES <= length {
        // SAFETY: i + 8 <= length of both slices.
        let (x, y) =
            unsafe { (_mm256_cvtph_ps(_mm_loadu_si128(a.as_ptr().add(i).cast())), _mm256_loadu_ps(b.as_ptr().add(i))) };
        let lane = i / LANES % 4;
        sums[lane] = step8::<OP>(sums[lane], x, y);
        i += LANES;
    }
    let sum = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
    let tail = a[i..length].iter().zip(&b[i..length]);
    tail.fold(sum8(sum), |sum, (x, y)| step::<OP>(sum, f16::from_bits(*x).to_f32(), *y))
}

#[target_feature(enable = "avx2,fma")]
pub fn tile<const OP: u8>(queries: [&[f32]; QUERIES], rows: [&[f32]; ROWS]) -> Tile {
    let length = queries.iter().chain(&rows).map(|v| v.len()).min().unwrap_or(0);
    let mut sums = [[_mm256_setzero_ps(); ROWS]; QUERIES];
    let mut i = 0;
    while i + LANES <= length {
        let (mut x, mut y) = ([_mm256_setzero_ps(); ROWS], [_mm256_setzero_ps(); QUERIES]);
        for r in 0..ROWS {
            // SAFETY: i + 8 <= length of every slice.
            x[r] = unsafe { _mm256_loadu_ps(rows[r].as_ptr().add(i)) };
        }
        for q in 0..QUERIES {
            // SAFETY: as above.
            y[q] = unsafe { _mm256_loadu_ps(queries[q].as_ptr().add(i)) };
        }
        for q in 0..QUERIES {
            for r in 0..ROWS {
                sums[q][r] = step8::<OP>(sums[q][r], x[r], y[q]);
            }
        }
        i += LANES;
    }
    let mut tile = [[0.0; ROWS]; QUERIES];
    for q in 0..QUERIES {
        for r in 0..ROWS {
            let tail = rows[r][i..length].iter().zip(&queries[q][i..length]);
            tile[q][r] = tail.fold(sum8(sums[q][r]), |sum, (x, y)| step::<OP>(sum, *x, *y));
        }
    }
    tile
}

#[target_feature(enable = "avx2,f16c")]
pub fn widen(from: &[u16], to: &mut [f32]) {
    let length = from.len().min(to.len());
    let mut i = 0;
    while i + LANES <= length {
        // SAFETY: i + 8 <= length of both slices.
        unsafe {
            let wide = _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().add(i).cast()));
            _mm256_storeu_ps(to.as_mut_ptr().add(i), wide);
        }
        i += LANES;
    }
    portable::widen(&from[i..length], &mut to[i..length]);
}
