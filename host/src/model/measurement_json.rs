use serde_json::{Map, Value, json};

use super::{AccessMethod, IndexHealth, Structure};

/// The measured fields, by the names of the report; a field that is unknown is null.
pub fn measurement_json(health: &IndexHealth) -> Value {
    let s = &health.search;
    let mut object = Map::new();
    extend(
        &mut object,
        json!({
            "size_bytes": health.size_bytes,
            "recall_at_10": s.recall,
            "recall_p5": s.recall_p5,
            "share_below_half": s.share_below_half,
            "blind_share": s.blind_share,
            "rows_returned_mean": s.rows_returned_mean,
            "unfindable": s.unfindable,
            "probe_count": s.probe_count,
            "probe_source": s.probe_source,
            "curve": s.curve,
        }),
    );
    match &health.structure {
        Structure::Hnsw(h) => extend(
            &mut object,
            json!({
                short_parameter(AccessMethod::Hnsw): s.parameter_in_force,
                "m": h.m,
                "ef_construction": h.ef_construction,
                "dimensions": h.dimensions,
                "elements_live": h.elements_live,
                "elements_reachable": h.elements_reachable,
                "elements_deleted": h.elements_deleted,
                "elements_awaiting_vacuum": h.elements_awaiting_vacuum,
                "orphan_count": h.orphan_count,
                "layer_distribution": h.layer_distribution,
                "entry_point": h.entry_point,
                "entry_point_quality": h.entry_point_quality,
                "connectivity_score": h.connectivity_score,
                "fragmentation": h.fragmentation,
            }),
        ),
        Structure::Ivfflat(h) => extend(
            &mut object,
            json!({
                short_parameter(AccessMethod::Ivfflat): s.parameter_in_force,
                "lists": h.lists,
                "dimensions": h.dimensions,
                "entries": h.entries,
                "empty_clusters": h.empty_clusters,
                "cluster_balance": h.cluster_balance,
                "centroid_quality": h.centroid_quality,
                "training_staleness_hours": h.training_staleness_hours,
                "fragmentation": h.fragmentation,
            }),
        ),
    }
    object.insert("notes".to_owned(), json!(health.notes));
    Value::Object(object)
}

/// The setting's name without its extension's prefix: ef_search, probes.
pub fn short_parameter(method: AccessMethod) -> &'static str {
    match method {
        AccessMethod::Hnsw => "ef_search",
        AccessMethod::Ivfflat => "probes",
    }
}

fn extend(object: &mut Map<String, Value>, part: Value) {
    if let Value::Object(part) = part {
        object.extend(part);
    }
}
