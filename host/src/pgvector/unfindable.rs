use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use crate::model::{Progress, Tid};

use super::DecodedIndex;
use super::distance::Rows;
use super::hnsw::ScratchPool;

const ELEMENTS_A_TASK: usize = 32;

/// Elements that a search for their own vector does not find.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnfindableReport {
    /// Elements (HNSW) or entries (IVFFlat) that were not found.
    pub elements: u64,
    /// All their heap TIDs, ascending.
    pub tids: Vec<Tid>,
    /// Elements that were searched for.
    pub of_sampled: u64,
}

pub(crate) fn unfindable<'a, R: Rows<'a>>(
    index: &'a DecodedIndex,
    elements: &[u32],
    parameter: u32,
    progress: &dyn Progress,
) -> UnfindableReport {
    let mut report = UnfindableReport { of_sampled: elements.len() as u64, ..UnfindableReport::default() };
    let metric = index.metric();
    let Some(rows) = R::of(index.store(), metric) else { return report };
    let done = AtomicU64::new(0);
    let say = |count: usize| progress.done(done.fetch_add(count as u64, Ordering::Relaxed) + count as u64);
    let chunks = elements.par_chunks(ELEMENTS_A_TASK);
    let missed: Vec<u32> = match index {
        DecodedIndex::Hnsw(hnsw) => {
            let pool = ScratchPool::new(hnsw);
            let of_chunk = |chunk: &[u32]| {
                say(chunk.len());
                pool.with(|scratch| {
                    let is_missed = |e: &u32| !hnsw.finds_itself(&rows, *e, parameter, scratch);
                    chunk.iter().copied().filter(is_missed).collect::<Vec<u32>>()
                })
            };
            chunks.flat_map_iter(of_chunk).collect()
        }
        DecodedIndex::Ivfflat(ivfflat) => {
            let Some(centres) = R::of(ivfflat.centres(), metric) else { return report };
            let of_chunk = |chunk: &[u32]| {
                say(chunk.len());
                // A probed list is searched entirely, and identical vectors are in the same list.
                let is_missed = |e: &u32| {
                    let is_probed = |list| ivfflat.probes_list(&centres, &rows.query(*e as usize), parameter, list);
                    !ivfflat.list_of(*e as usize).is_some_and(is_probed)
                };
                chunk.iter().copied().filter(is_missed).collect::<Vec<u32>>()
            };
            chunks.flat_map_iter(of_chunk).collect()
        }
    };
    for element in &missed {
        index.extend_with_tids(*element, &mut report.tids);
    }
    report.elements = missed.len() as u64;
    report.tids.sort_unstable();
    report
}
