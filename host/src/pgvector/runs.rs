//! The searches of many queries at several parameters.

use rayon::prelude::*;

use crate::model::Tid;

use super::distance::{Ranked, Rows};
use super::hnsw::{HnswIndex, ScratchPool};
use super::ivfflat::{IvfflatIndex, ListSearch};
use super::recall::SearchRun;
use super::{DecodedIndex, ProbeSet};

/// What the search of one query at one parameter gave.
struct Answer {
    rows: Vec<(Tid, f32)>,
    is_truncated: bool,
    cost: u32,
    broken_links: u32,
}

/// A run a parameter, in their order.
pub(crate) fn search_each<'a, R: Rows<'a>>(
    index: &'a DecodedIndex,
    probes: &'a ProbeSet,
    parameters: &[u32],
    rows_kept: usize,
) -> Vec<SearchRun> {
    let metric = index.metric();
    let rows = R::of(index.store(), metric).zip(R::of(&probes.vectors, metric));
    let answers: Vec<Vec<Answer>> = match (index, rows) {
        (DecodedIndex::Hnsw(hnsw), Some((rows, queries))) => {
            let pool = ScratchPool::new(hnsw);
            let of_query = |i| of_graph(index, hnsw, &pool, &rows, &queries.query(i), parameters);
            (0..probes.len()).into_par_iter().map(of_query).collect()
        }
        (DecodedIndex::Ivfflat(ivfflat), Some((rows, queries))) => {
            let centres = R::of(ivfflat.centres(), metric);
            let of_query = |i| match &centres {
                Some(centres) => of_lists(index, ivfflat, centres, &rows, &queries.query(i), parameters, rows_kept),
                None => Vec::new(),
            };
            (0..probes.len()).into_par_iter().map(of_query).collect()
        }
        (_, None) => Vec::new(),
    };
    let run = |parameter: &u32| SearchRun { parameter: *parameter, rows_kept, ..SearchRun::default() };
    let mut runs: Vec<SearchRun> = parameters.iter().map(run).collect();
    for of_query in answers {
        for (run, answer) in runs.iter_mut().zip(of_query) {
            run.rows.push(answer.rows);
            run.truncated.push(answer.is_truncated);
            run.cost.push(answer.cost);
            run.broken_links += u64::from(answer.broken_links);
        }
    }
    runs
}

fn of_graph<'a, R: Rows<'a>>(
    index: &DecodedIndex,
    hnsw: &HnswIndex,
    pool: &ScratchPool<'_>,
    rows: &R,
    query: &R::Query,
    parameters: &[u32],
) -> Vec<Answer> {
    pool.with(|scratch| {
        let descent = hnsw.descend(rows, query, scratch);
        let at = |ef_search: &u32| {
            let (found, cost) = match &descent {
                Some(descent) => hnsw.search_from(descent, rows, query, *ef_search, scratch),
                None => Default::default(),
            };
            let (cost, broken_links) = (cost.distances, cost.broken_links);
            Answer { rows: expand(index, &found), is_truncated: false, cost, broken_links }
        };
        parameters.iter().map(at).collect()
    })
}

fn of_lists<'a, R: Rows<'a>>(
    index: &DecodedIndex,
    ivfflat: &IvfflatIndex,
    centres: &R,
    rows: &R,
    query: &R::Query,
    parameters: &[u32],
    rows_kept: usize,
) -> Vec<Answer> {
    let mut search = ListSearch::new(ivfflat, centres, rows, query, rows_kept);
    let at = |probes: &u32| {
        let (found, is_truncated, cost) = search.at(*probes);
        Answer { rows: expand(index, &found), is_truncated, cost, broken_links: 0 }
    };
    parameters.iter().map(at).collect()
}

fn expand(index: &DecodedIndex, found: &[Ranked]) -> Vec<(Tid, f32)> {
    let mut tids = Vec::new();
    let mut expanded = Vec::with_capacity(found.len());
    for element in found {
        tids.clear();
        index.extend_with_tids(element.row(), &mut tids);
        expanded.extend(tids.iter().map(|tid| (*tid, element.distance())));
    }
    expanded
}
