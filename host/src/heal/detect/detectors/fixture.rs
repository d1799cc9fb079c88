//! A healthy index of each method, for the detectors' tests to spoil.

use super::super::Observed;
use super::{Detector, Finding, Thresholds};
use crate::model::{
    AccessMethod, CurvePoint, EntryPoint, HnswHealth, IndexDefinition, IndexHealth, IndexName, IvfflatHealth, Measured,
    ProbeSource, SearchQuality, Structure, Unfindable,
};

pub fn index(method: AccessMethod) -> IndexDefinition {
    IndexDefinition {
        name: IndexName {
            oid: 16_500,
            schema: "public".to_owned(),
            name: "docs_embedding_idx".to_owned(),
            table_oid: 16_400,
            table_schema: "public".to_owned(),
            table: "docs".to_owned(),
            method,
        },
        opclass: "vector_cosine_ops".to_owned(),
        vector_type: "vector".to_owned(),
        expression: "embedding".to_owned(),
        operator: "<=>".to_owned(),
        column: Some("embedding".to_owned()),
        predicate: None,
        definition: String::new(),
        reloptions: Vec::new(),
        size_bytes: 80 << 20,
        is_valid: true,
        is_ready: true,
        is_live: true,
        is_partition: false,
        persistence: 'p',
        owner: "postgres".to_owned(),
        being_built: false,
    }
}

fn search() -> SearchQuality {
    SearchQuality {
        k: 10,
        probe_count: 1_000,
        probe_source: ProbeSource::SampledRows,
        parameter_in_force: Measured::Known(40),
        recall: Measured::Known(0.99),
        recall_p5: Measured::Known(0.9),
        share_below_half: Measured::Known(0.0),
        blind_share: Measured::Known(0.0),
        rows_returned_mean: Measured::Known(10.0),
        unfindable: Measured::Known(Unfindable { count: 0, of_sampled: 20_000 }),
        curve: Measured::Known(vec![CurvePoint { value: 40, recall: 0.99, blind_share: 0.0, cost: 900.0 }]),
    }
}

pub fn hnsw_health() -> IndexHealth {
    IndexHealth {
        size_bytes: 80 << 20,
        search: search(),
        structure: Structure::Hnsw(HnswHealth {
            m: Measured::Known(16),
            ef_construction: Measured::Known(64),
            dimensions: Measured::Known(384),
            elements_live: Measured::Known(20_000),
            elements_reachable: Measured::Known(20_000),
            elements_deleted: Measured::Known(0),
            elements_awaiting_vacuum: Measured::Known(0),
            orphan_count: Measured::Known(0),
            layer_distribution: Measured::Known(vec![18_750, 1_170, 80]),
            entry_point: Measured::Known(Some(EntryPoint { block: 1, offset: 1, level: 2 })),
            entry_point_quality: Measured::Known(1.0),
            connectivity_score: Measured::Known(1.0),
            fragmentation: Measured::Known(0.05),
        }),
        notes: Vec::new(),
    }
}

pub fn ivfflat_health() -> IndexHealth {
    IndexHealth {
        size_bytes: 40 << 20,
        search: search(),
        structure: Structure::Ivfflat(IvfflatHealth {
            lists: Measured::Known(100),
            dimensions: Measured::Known(384),
            entries: Measured::Known(20_000),
            empty_clusters: Measured::Known(0),
            cluster_balance: Measured::Known(0.5),
            centroid_quality: Measured::Known(0.8),
            training_staleness_hours: Measured::Known(1.0),
            fragmentation: Measured::Known(0.02),
        }),
        notes: Vec::new(),
    }
}

pub fn hnsw_of(health: &mut IndexHealth) -> &mut HnswHealth {
    match &mut health.structure {
        Structure::Hnsw(hnsw) => hnsw,
        Structure::Ivfflat(_) => panic!("the fixture is an hnsw index"),
    }
}

pub fn ivfflat_of(health: &mut IndexHealth) -> &mut IvfflatHealth {
    match &mut health.structure {
        Structure::Ivfflat(ivfflat) => ivfflat,
        Structure::Hnsw(_) => panic!("the fixture is an ivfflat index"),
    }
}

/// Runs one detector on a health, with the default thresholds.
pub fn run(detector: Detector, health: &IndexHealth) -> Option<Finding> {
    let method = match health.structure {
        Structure::Hnsw(_) => AccessMethod::Hnsw,
        Structure::Ivfflat(_) => AccessMethod::Ivfflat,
    };
    detector(&Observed::new("db", &index(method), health), &Thresholds::default())
}
