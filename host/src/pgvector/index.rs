use crate::model::{Progress, Tid};

use super::recall::{EvaluationOutcome, Liveness, Neighbours, SearchRun};
use super::{
    ClusterHealth, GraphHealth, HnswIndex, IndexError, IvfflatIndex, Metric, ProbeSet, UnfindableReport, VectorType,
};

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
        todo!()
    }

    pub fn metric(&self) -> Metric {
        todo!()
    }

    pub fn dimensions(&self) -> u32 {
        todo!()
    }

    /// Whether the vectors fitted the memory limit: without them only `health` answers.
    pub fn vectors_kept(&self) -> bool {
        todo!()
    }

    /// Memory of the structure (graph or lists) without the vectors, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        todo!()
    }

    /// Memory of the vectors, in bytes.
    pub fn vector_bytes(&self) -> u64 {
        todo!()
    }

    /// Every heap TID of the live elements, element by element.
    pub fn heap_tids(&self) -> Vec<Tid> {
        todo!()
    }

    /// Per query the `fetch` nearest rows of all live elements, by brute force.
    pub fn exact_neighbours(&self, probes: &ProbeSet, fetch: usize) -> Result<Neighbours, IndexError> {
        todo!("{probes:?} {fetch}")
    }

    /// What an index scan of each query returns with `ef_search` (HNSW) or `probes` (IVFFlat) at `parameter`, by
    /// pgvector's own algorithm. Keeps up to 1,000 rows a query (HNSW: all).
    pub fn search(&self, probes: &ProbeSet, parameter: u32) -> Result<SearchRun, IndexError> {
        self.search_keeping(probes, parameter, 1_000)
    }

    /// As `search`, keeping at least `rows_kept` rows a query, where so many were returned.
    pub fn search_keeping(&self, probes: &ProbeSet, parameter: u32, rows_kept: usize) -> Result<SearchRun, IndexError> {
        todo!("{probes:?} {parameter} {rows_kept}")
    }

    /// The recall at `k` of a search. Call it in a loop, giving it what it says it needs.
    pub fn evaluate(
        &self,
        neighbours: &Neighbours,
        run: &SearchRun,
        k: usize,
        liveness: &Liveness,
    ) -> EvaluationOutcome {
        todo!("{neighbours:?} {run:?} {k} {liveness:?}")
    }

    /// Searches for the own vector of every live element (or of `sample` of them) at `parameter`.
    pub fn unfindable(
        &self,
        parameter: u32,
        sample: Option<u64>,
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<UnfindableReport, IndexError> {
        progress.done(0);
        todo!("{parameter} {sample:?} {seed}")
    }

    pub fn health(&self) -> StructureHealth {
        todo!()
    }
}
