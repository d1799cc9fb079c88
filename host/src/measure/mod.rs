//! Measuring an index: its pages and some SQL in, an `IndexHealth` out. Changes nothing.
//! Detection, the repair's gate and verification all measure through here, so that they compare like with like.

use std::sync::Arc;

use crate::model::{IndexDefinition, IndexHealth, Progress, Tid};
use crate::pgvector::ProbeSet;
use crate::postgres::Connector;

/// How to measure. The defaults are what `pgheal check` does.
#[derive(Clone, Debug)]
pub struct MeasureOptions {
    /// Neighbours asked for by a query.
    pub k: u32,
    /// Probe queries; a blind share of 0.5 % needs at least 1,000 to be seen.
    pub probe_count: usize,
    /// A table or view whose first vector column holds real queries; None samples the index's own rows.
    pub query_table: Option<String>,
    /// Above this the vectors are not kept in memory: the simulation is replaced by sampled real scans.
    pub vector_memory_limit_bytes: u64,
    /// Live elements whose own vector is searched; None is all of them.
    pub unfindable_sample: Option<u64>,
    /// Whether the whole curve is wanted, or the parameter in force only.
    pub curve: bool,
    /// Measures as if `hnsw.ef_search` or `ivfflat.probes` were this.
    pub parameter_override: Option<u32>,
    /// Makes the sample of probes repeatable.
    pub seed: u64,
}

impl Default for MeasureOptions {
    fn default() -> Self {
        MeasureOptions {
            k: 10,
            probe_count: 1_000,
            query_table: None,
            vector_memory_limit_bytes: 4 << 30,
            unfindable_sample: None,
            curve: true,
            parameter_override: None,
            seed: 0x7067_6865_616c,
        }
    }
}

/// What one measurement found, and what a later one needs to be comparable with it.
pub struct Measurement {
    pub health: IndexHealth,
    /// Heap TIDs (chain roots) of the elements that a search for their own vector does not find.
    pub unfindable_rows: Vec<Tid>,
    /// The probe queries; pass them to the next measurement. None where there was no page access.
    pub probes: Option<Arc<ProbeSet>>,
}
