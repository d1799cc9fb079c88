//! Exact nearest neighbours, by comparing every query with every vector, in blocks that fit the caches.

use std::collections::BinaryHeap;
use std::ops::Range;

use rayon::prelude::*;

use super::distance::{Ranked, Rows};

/// Bytes of rows that stay in the first cache while all queries of a group pass.
const ROW_BLOCK_BYTES: usize = 24 << 10;
const MAX_ROWS: usize = 64;
/// Queries of a group: they stay in the second cache, while the rows pass through it once.
const GROUP_BYTES: usize = 384 << 10;
const MAX_GROUP: usize = 256;
/// Queries are compared in fours.
const MIN_GROUP: usize = 4;
const TASKS_A_THREAD: usize = 4;
/// Finding the nearest anew in every part of the rows costs a little.
const MIN_ROWS_A_TASK: usize = 4_096;

/// Per query (row of `queries`) the `keep[q]` nearest rows of those that `is_wanted` accepts, ascending.
pub(crate) fn nearest<'a, R: Rows<'a>>(
    rows: &R,
    row_count: usize,
    is_wanted: impl Fn(usize) -> bool + Sync,
    queries: &R,
    keep: &[usize],
) -> Vec<Vec<Ranked>> {
    let most = (GROUP_BYTES / rows.row_bytes().max(1)).clamp(MIN_GROUP, MAX_GROUP);
    let groups = keep.len().div_ceil(most).max(1);
    let group = keep.len().div_ceil(groups).next_multiple_of(MIN_GROUP).max(MIN_GROUP);
    let block_rows = (ROW_BLOCK_BYTES / rows.row_bytes().max(1)).clamp(2, MAX_ROWS) & !1;
    let parts = (rayon::current_num_threads() * TASKS_A_THREAD).div_ceil(groups);
    let part_rows = row_count.div_ceil(parts).max(MIN_ROWS_A_TASK).next_multiple_of(block_rows);
    let of_group = |(number, keep): (usize, &[usize])| {
        let first = number * group;
        let queries: Vec<R::Query> = (first..first + keep.len()).map(|i| queries.query(i)).collect();
        let parts: Vec<usize> = (0..row_count).step_by(part_rows).collect();
        let of_part = |first: &usize| {
            let part = *first..(first + part_rows).min(row_count);
            nearest_of_part(rows, part, &is_wanted, &queries, keep, block_rows)
        };
        let found: Vec<Vec<Nearest>> = parts.par_iter().map(of_part).collect();
        merge(rows, &queries, keep, found)
    };
    keep.par_chunks(group).enumerate().flat_map_iter(of_group).collect()
}

/// The nearest rows that were seen, up to `keep`.
struct Nearest {
    rows: BinaryHeap<Ranked>,
    keep: usize,
    /// Nothing beyond this is among them.
    limit: f32,
}

impl Nearest {
    fn new(keep: usize) -> Self {
        let limit = if keep == 0 { f32::NEG_INFINITY } else { f32::INFINITY };
        Nearest { rows: BinaryHeap::with_capacity(keep.min(4096) + 1), keep, limit }
    }

    fn push(&mut self, row: Ranked) {
        self.rows.push(row);
        if self.rows.len() > self.keep {
            self.rows.pop();
            self.limit = self.rows.peek().map_or(f32::NEG_INFINITY, |worst| worst.distance());
        }
    }
}

fn nearest_of_part<'a, R: Rows<'a>>(
    rows: &R,
    part: Range<usize>,
    is_wanted: &impl Fn(usize) -> bool,
    queries: &[R::Query],
    keep: &[usize],
    block_rows: usize,
) -> Vec<Nearest> {
    let mut found: Vec<Nearest> = keep.iter().map(|keep| Nearest::new(*keep)).collect();
    let mut out = vec![0.0; queries.len() * block_rows];
    for first in part.clone().step_by(block_rows) {
        let block = first..(first + block_rows).min(part.end);
        let out = &mut out[..queries.len() * block.len()];
        rows.distances(queries, block.clone(), out);
        for (nearest, distances) in found.iter_mut().zip(out.chunks_exact(block.len())) {
            // Seldom any, once the search is under way; without a branch, to be vectorised.
            let is_any_near = distances.iter().fold(false, |any, distance| any | (*distance <= nearest.limit));
            if !is_any_near {
                continue;
            }
            for (row, distance) in block.clone().zip(distances) {
                if *distance <= nearest.limit && is_wanted(row) {
                    nearest.push(Ranked::new(*distance, row as u32));
                }
            }
        }
    }
    found
}

/// Per query the nearest rows of all parts, ascending.
fn merge<'a, R: Rows<'a>>(
    rows: &R,
    queries: &[R::Query],
    keep: &[usize],
    mut parts: Vec<Vec<Nearest>>,
) -> Vec<Vec<Ranked>> {
    let of_query = |(q, (query, keep)): (usize, (&R::Query, &usize))| {
        let mut nearest: Vec<Ranked> = parts.iter_mut().flat_map(|part| part[q].rows.drain()).collect();
        nearest.sort_unstable();
        nearest.truncate(*keep);
        // Blocks sum in another order than single distances; searches use the latter, and ties must be ties.
        for found in &mut nearest {
            *found = Ranked::new(rows.distance(query, found.row() as usize), found.row());
        }
        nearest.sort_unstable();
        nearest
    };
    queries.iter().zip(keep).enumerate().map(of_query).collect()
}
