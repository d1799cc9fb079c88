//! For any CPU.

use half::f16;

use super::{QUERIES, ROWS, Tile, step};

const LANES: usize = 8;

pub fn single<const OP: u8>(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail = a_chunks.remainder().iter().zip(b_chunks.remainder());
    let tail = tail.fold(0.0, |sum, (x, y)| step::<OP>(sum, *x, *y));
    for (x, y) in a_chunks.zip(b_chunks) {
        for i in 0..LANES {
            lanes[i] = step::<OP>(lanes[i], x[i], y[i]);
        }
    }
    lanes.iter().sum::<f32>() + tail
}

pub fn half<const OP: u8>(a: &[u16], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |sum, (x, y)| step::<OP>(sum, f16::from_bits(*x).to_f32(), *y))
}

pub fn tile<const OP: u8>(queries: [&[f32]; QUERIES], rows: [&[f32]; ROWS]) -> Tile {
    queries.map(|query| rows.map(|row| single::<OP>(row, query)))
}

pub fn widen(from: &[u16], to: &mut [f32]) {
    for (x, y) in from.iter().zip(to) {
        *y = f16::from_bits(*x).to_f32();
    }
}
