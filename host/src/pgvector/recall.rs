use std::collections::HashMap;

use crate::model::Tid;

/// Per query the exact nearest rows of an index.
#[derive(Clone, Debug)]
pub struct Neighbours {
    /// Ascending by distance, the query's own rows left out.
    pub(crate) rows: Vec<Vec<(Tid, f32)>>,
    pub(crate) own_tids: Vec<Vec<Tid>>,
    pub(crate) fetch: usize,
    /// The lists hold every row of the index: asking for more gives nothing more.
    pub(crate) complete: bool,
}

/// What a search returns for each query.
#[derive(Clone, Debug)]
pub struct SearchRun {
    /// `ef_search` or `probes`.
    pub parameter: u32,
    /// In the order in which the index scan returns them; the query's own rows are among them.
    pub(crate) rows: Vec<Vec<(Tid, f32)>>,
    /// Whether rows beyond the ones kept were dropped, per query.
    pub(crate) truncated: Vec<bool>,
    /// Distance computations, per query.
    pub(crate) cost: Vec<u32>,
    /// Neighbour links to deleted or missing elements that the searches met; pgvector would raise an error there.
    pub broken_links: u64,
}

/// Which heap rows a new snapshot sees. The TIDs are those of the index: roots of HOT chains.
#[derive(Clone, Debug, Default)]
pub struct Liveness {
    live: HashMap<Tid, bool>,
}

impl Liveness {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn insert(&mut self, tid: Tid, is_live: bool) {
        self.live.insert(tid, is_live);
    }

    pub fn get(&self, tid: Tid) -> Option<bool> {
        self.live.get(&tid).copied()
    }

    pub fn len(&self) -> usize {
        self.live.len()
    }

    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }
}

/// How well the searches of one parameter answered. Only visible rows count.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Per query, 0 to 1: visible rows among the first k returned whose distance is at most the exact k-th
    /// visible one's, over min(k, visible rows that there are).
    pub recall: Vec<f64>,
    pub mean: f64,
    /// The recall that 95 % of the queries reach.
    pub p5: f64,
    /// Share of the queries with recall below 0.5.
    pub share_below_half: f64,
    /// Share of the queries with recall below 0.1.
    pub blind_share: f64,
    /// Mean number of visible rows (the query's own included) that a LIMIT k query gets back.
    pub rows_returned_mean: f64,
    /// Mean number of distance computations.
    pub cost_mean: f64,
}

/// An evaluation, or what it still needs.
#[derive(Clone, Debug, PartialEq)]
pub enum EvaluationOutcome {
    Done(Evaluation),
    /// Resolve these (ascending), insert them into the liveness and evaluate again.
    NeedLiveness(Vec<Tid>),
    /// Dead rows used up the exact lists: ask `exact_neighbours` for at least so many.
    NeedMoreNeighbours {
        fetch: usize,
    },
    /// Dead rows used up the rows kept of a search: ask `search_keeping` for at least so many.
    NeedMoreRows {
        rows_kept: usize,
    },
}
