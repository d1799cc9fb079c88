use super::MeasureOptions;
use crate::model::{
    AccessMethod, HnswHealth, IndexDefinition, IndexHealth, IvfflatHealth, Measured, ProbeSource, SearchQuality,
    Structure,
};

/// A health of which only the size and the parameter are known.
pub(super) fn health(
    index: &IndexDefinition,
    options: &MeasureOptions,
    parameter: Measured<u32>,
    reason: &str,
) -> IndexHealth {
    IndexHealth {
        size_bytes: index.size_bytes,
        search: search(options, parameter, reason),
        structure: structure(index.name.method, reason),
        notes: Vec::new(),
    }
}

pub(super) fn search(options: &MeasureOptions, parameter: Measured<u32>, reason: &str) -> SearchQuality {
    SearchQuality {
        k: options.k,
        probe_count: 0,
        probe_source: probe_source(options),
        parameter_in_force: parameter,
        recall: Measured::unknown(reason),
        recall_p5: Measured::unknown(reason),
        share_below_half: Measured::unknown(reason),
        blind_share: Measured::unknown(reason),
        rows_returned_mean: Measured::unknown(reason),
        unfindable: Measured::unknown(reason),
        curve: Measured::unknown(reason),
    }
}

pub(super) fn probe_source(options: &MeasureOptions) -> ProbeSource {
    match &options.query_table {
        Some(table) => ProbeSource::QueryTable(table.clone()),
        None => ProbeSource::SampledRows,
    }
}

pub(super) fn structure(method: AccessMethod, reason: &str) -> Structure {
    match method {
        AccessMethod::Hnsw => Structure::Hnsw(HnswHealth {
            m: Measured::unknown(reason),
            ef_construction: Measured::unknown(reason),
            dimensions: Measured::unknown(reason),
            elements_live: Measured::unknown(reason),
            elements_reachable: Measured::unknown(reason),
            elements_deleted: Measured::unknown(reason),
            elements_awaiting_vacuum: Measured::unknown(reason),
            orphan_count: Measured::unknown(reason),
            layer_distribution: Measured::unknown(reason),
            entry_point: Measured::unknown(reason),
            entry_point_quality: Measured::unknown(reason),
            connectivity_score: Measured::unknown(reason),
            fragmentation: Measured::unknown(reason),
        }),
        AccessMethod::Ivfflat => Structure::Ivfflat(IvfflatHealth {
            lists: Measured::unknown(reason),
            dimensions: Measured::unknown(reason),
            entries: Measured::unknown(reason),
            empty_clusters: Measured::unknown(reason),
            cluster_balance: Measured::unknown(reason),
            centroid_quality: Measured::unknown(reason),
            training_staleness_hours: Measured::unknown(reason),
            fragmentation: Measured::unknown(reason),
        }),
    }
}
