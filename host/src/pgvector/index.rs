use rand::SeedableRng;
use rand::rngs::StdRng;
use rayon::prelude::*;

use crate::model::{Progress, Tid};

use super::distance::{BitRows, DenseRows, HalfRows, Ranked, Rows, SparseRows};
use super::exact::nearest;
use super::recall::{EvaluationOutcome, Liveness, Neighbours, SearchRun, evaluate};
use super::runs::search_each;
use super::store::VectorStore;
use super::unfindable::unfindable;
use super::{
    ClusterHealth, GraphHealth, HnswIndex, IndexError, IvfflatIndex, Metric, ProbeSet, UnfindableReport, VectorType,
};

const DEFAULT_ROWS_KEPT: usize = 1_000;

/// Calls a function that is generic over the rows of a type with the right one.
macro_rules! dispatch {
    ($vector_type:expr, $function:ident($($argument:expr),*)) => {
        match $vector_type {
            VectorType::Vector => $function::<DenseRows>($($argument),*),
            VectorType::HalfVec => $function::<HalfRows>($($argument),*),
            VectorType::Bit => $function::<BitRows>($($argument),*),
            VectorType::SparseVec => $function::<SparseRows>($($argument),*),
        }
    };
}

/// A decoded index of either access method. CPU-bound methods use all cores: call them off the async threads.
#[derive(Debug)]
pub enum DecodedIndex {
    Hnsw(HnswIndex),
    Ivfflat(IvfflatIndex),
}

/// The figures of the structure itself.
#[derive(Clone, Debug, PartialEq)]
pub enum StructureHealth {
    Hnsw(GraphHealth),
    Ivfflat(ClusterHealth),
}

impl DecodedIndex {
    pub fn vector_type(&self) -> VectorType {
        self.store().vector_type()
    }

    pub fn metric(&self) -> Metric {
        match self {
            DecodedIndex::Hnsw(index) => index.metric(),
            DecodedIndex::Ivfflat(index) => index.metric(),
        }
    }

    pub fn dimensions(&self) -> u32 {
        self.store().dimensions()
    }

    /// Whether the vectors fitted the memory limit: without them only `health` answers.
    pub fn vectors_kept(&self) -> bool {
        match self {
            DecodedIndex::Hnsw(index) => index.keeps_vectors(),
            DecodedIndex::Ivfflat(index) => index.keeps_vectors(),
        }
    }

    /// Memory of the structure (graph or lists) without the vectors, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        match self {
            DecodedIndex::Hnsw(index) => index.memory_bytes(),
            DecodedIndex::Ivfflat(index) => index.memory_bytes(),
        }
    }

    /// Memory of the vectors, in bytes.
    pub fn vector_bytes(&self) -> u64 {
        self.store().bytes()
    }

    /// Every heap TID of the live elements, element by element.
    pub fn heap_tids(&self) -> Vec<Tid> {
        let mut tids = Vec::new();
        for element in self.live_elements() {
            self.extend_with_tids(element, &mut tids);
        }
        tids
    }

    /// The figures of the structure itself.
    pub fn health(&self) -> StructureHealth {
        match self {
            DecodedIndex::Hnsw(index) => StructureHealth::Hnsw(index.health()),
            DecodedIndex::Ivfflat(index) => StructureHealth::Ivfflat(index.health()),
        }
    }

    /// Per query the `fetch` nearest rows of all live elements, by brute force; all rows of an element count as one
    /// against `fetch`. The query's own rows are left out.
    ///
    /// # Errors
    /// [`IndexError`], as all methods that need the vectors.
    pub fn exact_neighbours(&self, probes: &ProbeSet, fetch: usize) -> Result<Neighbours, IndexError> {
        self.check(probes)?;
        Ok(dispatch!(self.vector_type(), exact(self, probes, fetch)))
    }

    /// What an index scan of each query returns with `ef_search` (HNSW) or `probes` (IVFFlat) at `parameter`, by
    /// pgvector's own algorithm without iterative scans. Keeps 1,000 rows a query (HNSW: all).
    pub fn search(&self, probes: &ProbeSet, parameter: u32) -> Result<SearchRun, IndexError> {
        self.search_keeping(probes, parameter, DEFAULT_ROWS_KEPT)
    }

    /// As `search`, keeping `rows_kept` rows a query, where so many were returned.
    pub fn search_keeping(&self, probes: &ProbeSet, parameter: u32, rows_kept: usize) -> Result<SearchRun, IndexError> {
        Ok(self.search_each(probes, &[parameter], rows_kept)?.pop().unwrap_or_default())
    }

    /// As `search_keeping` for each of several parameters. What their searches of one query have in common, above all
    /// its distances, is computed once: much cheaper than to ask for one after the other.
    pub fn search_each(
        &self,
        probes: &ProbeSet,
        parameters: &[u32],
        rows_kept: usize,
    ) -> Result<Vec<SearchRun>, IndexError> {
        self.check(probes)?;
        Ok(dispatch!(self.vector_type(), search_each(self, probes, parameters, rows_kept)))
    }

    /// The recall at `k` of a search. Call it in a loop, giving it what it says it needs.
    pub fn evaluate(
        &self,
        neighbours: &Neighbours,
        run: &SearchRun,
        k: usize,
        liveness: &Liveness,
    ) -> EvaluationOutcome {
        evaluate(neighbours, run, k, liveness)
    }

    /// Searches for the own vector of every live element (or of `sample` of them) at `parameter`. An element is
    /// found when the result (all of it, not only a LIMIT) holds it, or an identical vector, or is full of elements at
    /// least as near.
    pub fn unfindable(
        &self,
        parameter: u32,
        sample: Option<u64>,
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<UnfindableReport, IndexError> {
        if !self.vectors_kept() {
            return Err(IndexError::VectorsNotKept);
        }
        let elements = self.sample_elements(sample.map_or(usize::MAX, |s| s.try_into().unwrap_or(usize::MAX)), seed);
        progress.phase("searching for the rows themselves", Some(elements.len() as u64));
        Ok(dispatch!(self.vector_type(), unfindable(self, &elements, parameter, progress)))
    }

    /// Live elements, ascending, chosen without replacement.
    pub(crate) fn sample_elements(&self, count: usize, seed: u64) -> Vec<u32> {
        let live: Vec<u32> = self.live_elements().collect();
        if count >= live.len() {
            return live;
        }
        let mut chosen = rand::seq::index::sample(&mut StdRng::seed_from_u64(seed), live.len(), count).into_vec();
        chosen.sort_unstable();
        chosen.into_iter().map(|i| live[i]).collect()
    }

    pub(crate) fn live_elements(&self) -> impl Iterator<Item = u32> {
        (0..self.element_count() as u32).filter(|element| self.is_live(*element as usize))
    }

    pub(crate) fn is_live(&self, element: usize) -> bool {
        match self {
            DecodedIndex::Hnsw(index) => index.is_live(element),
            DecodedIndex::Ivfflat(index) => index.is_live(element),
        }
    }

    pub(crate) fn element_count(&self) -> usize {
        match self {
            DecodedIndex::Hnsw(index) => index.element_count(),
            DecodedIndex::Ivfflat(index) => index.entry_count(),
        }
    }

    /// In the order in which an index scan returns them.
    pub(crate) fn extend_with_tids(&self, element: u32, tids: &mut Vec<Tid>) {
        match self {
            DecodedIndex::Hnsw(index) => tids.extend(index.heap_tids(element as usize).rev()),
            DecodedIndex::Ivfflat(index) => tids.push(index.heap_tid(element as usize)),
        }
    }

    pub(crate) fn store(&self) -> &VectorStore {
        match self {
            DecodedIndex::Hnsw(index) => index.store(),
            DecodedIndex::Ivfflat(index) => index.store(),
        }
    }

    /// Whether the probes can be compared with the index's vectors.
    pub(crate) fn check(&self, probes: &ProbeSet) -> Result<(), IndexError> {
        if !self.vectors_kept() {
            return Err(IndexError::VectorsNotKept);
        }
        if probes.vector_type() != self.vector_type() {
            let (probes, index) = (probes.vector_type().as_str(), self.vector_type().as_str());
            return Err(IndexError::ProbeType { probes, index });
        }
        if probes.metric != self.metric() {
            return Err(IndexError::ProbeMetric { probes: probes.metric, index: self.metric() });
        }
        if probes.dimensions() != self.dimensions() {
            return Err(IndexError::ProbeDimensions { probes: probes.dimensions(), index: self.dimensions() });
        }
        Ok(())
    }
}

fn exact<'a, R: Rows<'a>>(index: &'a DecodedIndex, probes: &'a ProbeSet, fetch: usize) -> Neighbours {
    let mut neighbours =
        Neighbours { rows: vec![Vec::new(); probes.len()], own_tids: probes.own_tids.clone(), fetch, complete: true };
    let metric = index.metric();
    let (Some(rows), Some(probe_rows)) = (R::of(index.store(), metric), R::of(&probes.vectors, metric)) else {
        return neighbours;
    };
    // The own rows are among the nearest, and dropped afterwards.
    let keep: Vec<usize> = probes.own_tids.iter().map(|own| fetch.saturating_add(own.len())).collect();
    let found = nearest(&rows, index.element_count(), |row| index.is_live(row), &probe_rows, &keep);
    let live_count = index.live_elements().count();
    neighbours.complete = keep.iter().all(|keep| *keep >= live_count);
    let expand = |(found, own): (&Vec<Ranked>, &Vec<Tid>)| {
        let mut tids = Vec::new();
        let mut expanded = Vec::with_capacity(found.len());
        for element in found {
            tids.clear();
            index.extend_with_tids(element.row(), &mut tids);
            let others = tids.iter().filter(|tid| !own.contains(tid));
            expanded.extend(others.map(|tid| (*tid, element.distance())));
        }
        expanded
    };
    neighbours.rows = found.par_iter().zip(&probes.own_tids).map(expand).collect();
    neighbours
}
