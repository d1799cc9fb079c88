use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::model::{
    CurvePoint, HnswHealth, IndexHealth, IvfflatHealth, Measured, ProbeSource, SearchQuality, Structure, Unfindable,
};

const RECORDED_K: u32 = 10;
/// What an index of `pgheal check --json` holds beside its health.
const BESIDE: &[&str] = &[
    "schema",
    "name",
    "table",
    "table_schema",
    "method",
    "type",
    "opclass",
    "definition",
    "verdict",
    "recall_target",
    "recommended",
    "issues",
    "diagnoses",
    "proposals",
    "unknown",
    "notes",
    "probe_count",
    "probe_source",
    "entry_point",
];

#[derive(Deserialize)]
struct Point {
    value: u32,
    recall: f64,
    blind_share: f64,
    cost: f64,
}

#[derive(Deserialize)]
struct Count {
    count: u64,
    of_sampled: u64,
}

/// Takes known fields out of an object; what is left is a mistake.
struct Fields(Map<String, Value>);

impl Fields {
    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Measured<T>, String> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(Measured::unknown(format!("{name} is not played"))),
            Some(value) => {
                let text = value.to_string();
                serde_json::from_value(value).map(Measured::Known).map_err(|e| format!("{name} is {text}: {e}"))
            }
        }
    }
}

/// Reads an index's health from the object that `pgheal check --json` prints for it, or from some of its fields: what is
/// absent is unknown. `size_bytes` must be there.
///
/// # Errors
/// The field that is none, or has a value that it cannot have.
pub fn health_from_json(value: &Value) -> Result<IndexHealth, String> {
    let Value::Object(object) = value else { return Err(format!("a health is an object, not {value}")) };
    let method = object.get("method").and_then(Value::as_str).map(str::to_owned);
    let mut fields = Fields(object.clone());
    fields.0.retain(|name, _| !BESIDE.contains(&name.as_str()));

    let size_bytes = match fields.take("size_bytes")? {
        Measured::Known(size_bytes) => size_bytes,
        Measured::Unknown(_) => return Err("size_bytes is missing".to_owned()),
    };
    let is_ivfflat = match method.as_deref() {
        Some("ivfflat") => true,
        Some("hnsw") => false,
        Some(other) => return Err(format!("method is {other:?}; it can be hnsw or ivfflat")),
        None => object.contains_key("lists") || object.contains_key("probes"),
    };
    let curve: Measured<Vec<Point>> = fields.take("curve")?;
    let unfindable: Measured<Count> = fields.take("unfindable")?;
    let search = SearchQuality {
        k: RECORDED_K,
        probe_count: object.get("probe_count").and_then(Value::as_u64).unwrap_or(0),
        probe_source: ProbeSource::SampledRows,
        parameter_in_force: fields.take(if is_ivfflat { "probes" } else { "ef_search" })?,
        recall: fields.take("recall_at_10")?,
        recall_p5: fields.take("recall_p5")?,
        share_below_half: fields.take("share_below_half")?,
        blind_share: fields.take("blind_share")?,
        rows_returned_mean: fields.take("rows_returned_mean")?,
        unfindable: unfindable.map(|u| Unfindable { count: u.count, of_sampled: u.of_sampled }),
        curve: curve.map(|points| {
            let point =
                |p: Point| CurvePoint { value: p.value, recall: p.recall, blind_share: p.blind_share, cost: p.cost };
            points.into_iter().map(point).collect()
        }),
    };
    let structure = if is_ivfflat {
        Structure::Ivfflat(IvfflatHealth {
            lists: fields.take("lists")?,
            dimensions: fields.take("dimensions")?,
            entries: fields.take("entries")?,
            empty_clusters: fields.take("empty_clusters")?,
            cluster_balance: fields.take("cluster_balance")?,
            centroid_quality: fields.take("centroid_quality")?,
            training_staleness_hours: fields.take("training_staleness_hours")?,
            fragmentation: fields.take("fragmentation")?,
        })
    } else {
        Structure::Hnsw(HnswHealth {
            m: fields.take("m")?,
            ef_construction: fields.take("ef_construction")?,
            dimensions: fields.take("dimensions")?,
            elements_live: fields.take("elements_live")?,
            elements_reachable: fields.take("elements_reachable")?,
            elements_deleted: fields.take("elements_deleted")?,
            elements_awaiting_vacuum: fields.take("elements_awaiting_vacuum")?,
            orphan_count: fields.take("orphan_count")?,
            layer_distribution: fields.take("layer_distribution")?,
            entry_point: Measured::unknown("entry_point is not played"),
            entry_point_quality: fields.take("entry_point_quality")?,
            connectivity_score: fields.take("connectivity_score")?,
            fragmentation: fields.take("fragmentation")?,
        })
    };
    match fields.0.keys().next() {
        Some(unknown) => Err(format!("a health has no field {unknown}; the fields are those of `pgheal check --json`")),
        None => Ok(IndexHealth { size_bytes, search, structure, notes: Vec::new() }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::measurement_json;

    #[test]
    fn what_check_prints_comes_back() {
        let printed = json!({
            "method": "hnsw", "size_bytes": 8192, "recall_at_10": 0.8, "blind_share": null, "ef_search": 40, "m": 16,
            "unfindable": {"count": 3, "of_sampled": 100}, "verdict": "degraded", "elements_live": 100,
            "curve": [{"value": 40, "recall": 0.8, "blind_share": 0.0, "cost": 10.5}], "layer_distribution": [90, 10],
        });
        let health = health_from_json(&printed).unwrap();
        assert_eq!(health.search.recall, Measured::Known(0.8));
        assert!(health.search.blind_share.reason().is_some());
        let again = measurement_json(&health);
        for field in ["size_bytes", "recall_at_10", "ef_search", "m", "unfindable", "curve", "layer_distribution"] {
            assert_eq!(again[field], printed[field], "{field}");
        }
        assert_eq!(health_from_json(&again).unwrap().search, health.search);
        let lists = health_from_json(&json!({"size_bytes": 1, "probes": 3, "lists": 100})).unwrap();
        assert!(matches!(lists.structure, Structure::Ivfflat(h) if h.lists == Measured::Known(100)));
    }

    #[test]
    fn mistakes_are_named() {
        let check = |value: Value, expected: &str| {
            let reason = health_from_json(&value).unwrap_err();
            assert!(reason.contains(expected), "{reason}");
        };
        check(json!({"recall_at_10": 0.8}), "size_bytes");
        check(json!({"size_bytes": 1, "recall": 0.8}), "no field recall");
        check(json!({"size_bytes": 1, "recall_at_10": "good"}), "recall_at_10");
        check(json!({"size_bytes": 1, "method": "diskann"}), "diskann");
        check(json!({"size_bytes": 1, "lists": 3, "m": 16}), "no field m");
        check(json!(3), "an object");
    }
}
