//! Exact nearest neighbours, by comparing every query with every vector, in blocks that fit the caches.

use std::collections::BinaryHeap;

use rayon::prelude::*;

use super::distance::{Ranked, Rows};

/// Bytes of rows that stay in the first cache while all queries of a group pass.
const ROW_BLOCK_BYTES: usize = 24 << 10;
const MAX_ROWS: usize = 64;
const MAX_GROUP: usize = 64;
const MIN_GROUP: usize = 4;

/// Per query (row of `queries`) the `keep[q]` nearest rows of those that `is_wanted` accepts, ascending.
pub(crate) fn nearest<'a, R: Rows<'a>>(
    rows: &R,
    row_count: usize,
    is_wanted: impl Fn(usize) -> bool + Sync,
    queries: &R,
    keep: &[usize],
) -> Vec<Vec<Ranked>> {
    let threads = rayon::current_num_threads();
    let group = keep.len().div_ceil(threads * 2).next_multiple_of(MIN_GROUP).clamp(MIN_GROUP, MAX_GROUP);
    let block_rows = (ROW_BLOCK_BYTES / rows.row_bytes().max(1)).clamp(2, MAX_ROWS) & !1;
    let of_chunk = |(number, keep): (usize, &[usize])| {
        let first = number * group;
        let queries: Vec<R::Query> = (first..first + keep.len()).map(|i| queries.query(i)).collect();
        of_group(rows, row_count, &is_wanted, &queries, keep, block_rows)
    };
    keep.par_chunks(group).enumerate().flat_map_iter(of_chunk).collect()
}

fn of_group<'a, R: Rows<'a>>(
    rows: &R,
    row_count: usize,
    is_wanted: &impl Fn(usize) -> bool,
    queries: &[R::Query],
    keep: &[usize],
    block_rows: usize,
) -> Vec<Vec<Ranked>> {
    let mut heaps: Vec<BinaryHeap<Ranked>> =
        keep.iter().map(|keep| BinaryHeap::with_capacity(keep.min(&4096) + 1)).collect();
    let mut limits: Vec<f32> =
        keep.iter().map(|keep| if *keep == 0 { f32::NEG_INFINITY } else { f32::INFINITY }).collect();
    let mut out = vec![0.0; queries.len() * block_rows];
    for first in (0..row_count).step_by(block_rows) {
        let block = first..(first + block_rows).min(row_count);
        let out = &mut out[..queries.len() * block.len()];
        rows.distances(queries, block.clone(), out);
        for (q, distances) in out.chunks_exact(block.len()).enumerate() {
            for (row, distance) in block.clone().zip(distances) {
                if *distance <= limits[q] && is_wanted(row) {
                    let heap = &mut heaps[q];
                    heap.push(Ranked::new(*distance, row as u32));
                    if heap.len() > keep[q] {
                        heap.pop();
                        limits[q] = heap.peek().map_or(f32::NEG_INFINITY, |worst| worst.distance());
                    }
                }
            }
        }
    }
    let rescored = heaps.into_iter().zip(queries).map(|(heap, query)| {
        // Blocks sum in another order than single distances; searches use the latter, and ties must be ties.
        let mut found: Vec<Ranked> =
            heap.iter().map(|found| Ranked::new(rows.distance(query, found.row() as usize), found.row())).collect();
        found.sort_unstable();
        found
    });
    rescored.collect()
}
