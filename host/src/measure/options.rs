use std::time::SystemTime;

use crate::postgres::pages::Pace;

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
    /// At most so many live elements are searched by their own vector, chosen at random; None is all of them.
    pub unfindable_sample: Option<u64>,
    /// Whether the whole curve is wanted, or the parameter in force only.
    pub curve: bool,
    /// Measures as if `hnsw.ef_search` or `ivfflat.probes` were this.
    pub parameter_override: Option<u32>,
    /// Makes the sample of probes repeatable.
    pub seed: u64,
    /// How fast pages are read.
    pub pace: Pace,
    /// When the index was built, where somebody knows; PostgreSQL does not store it.
    pub built_at: Option<SystemTime>,
}

impl Default for MeasureOptions {
    fn default() -> Self {
        MeasureOptions {
            k: 10,
            probe_count: 1_000,
            query_table: None,
            vector_memory_limit_bytes: 4 << 30,
            unfindable_sample: Some(50_000),
            curve: true,
            parameter_override: None,
            seed: 0x7067_6865_616c,
            pace: Pace::default(),
            built_at: None,
        }
    }
}
