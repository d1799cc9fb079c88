use serde::Serialize;

use super::{Measured, UnknownField};

/// One point of the recall/cost curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// `ef_search` (hnsw) or `probes` (ivfflat).
    pub value: u32,
    /// Mean recall at k, 0 to 1.
    pub recall: f64,
    /// Share of the probe queries with a recall below 0.1, 0 to 1.
    pub blind_share: f64,
    /// Mean number of distance computations of one query.
    pub cost: f64,
}

/// The smallest parameter that reaches the target, from the measured curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Recommended {
    pub value: u32,
    pub recall: f64,
    /// Cost at `value` over the cost at the parameter in force.
    pub cost_ratio: f64,
}

/// Elements that a search for their own vector does not find, at the parameter in force.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Unfindable {
    pub count: u64,
    pub of_sampled: u64,
}

/// Where the probe queries came from. Rows of the table find themselves too easily: their recall is
/// optimistic against queries that were never indexed, and reports say so.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeSource {
    SampledRows,
    QueryTable(String),
}

/// How well searches answer, measured on probe queries against exact neighbours.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchQuality {
    pub k: u32,
    pub probe_count: u64,
    pub probe_source: ProbeSource,
    /// `hnsw.ef_search` or `ivfflat.probes` as it holds for a new session.
    pub parameter_in_force: Measured<u32>,
    /// Mean recall at k with the parameter in force, visible rows only.
    pub recall: Measured<f64>,
    /// The recall that 95 % of the queries exceed.
    pub recall_p5: Measured<f64>,
    /// Share of the queries with recall below 0.5.
    pub share_below_half: Measured<f64>,
    /// Share of the queries with recall below 0.1.
    pub blind_share: Measured<f64>,
    /// Mean number of visible rows that a LIMIT k query gets back; less than k where dead rows use up ef.
    pub rows_returned_mean: Measured<f64>,
    pub unfindable: Measured<Unfindable>,
    /// Ordered by value.
    pub curve: Measured<Vec<CurvePoint>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EntryPoint {
    pub block: u32,
    pub offset: u16,
    pub level: u8,
}

/// The graph of an HNSW index. Formulas: `pgvector::hnsw::health`.
#[derive(Clone, Debug, PartialEq)]
pub struct HnswHealth {
    pub m: Measured<u32>,
    pub ef_construction: Measured<u32>,
    pub dimensions: Measured<u32>,
    pub elements_live: Measured<u64>,
    pub elements_reachable: Measured<u64>,
    /// Slots of deleted elements that wait for reuse.
    pub elements_deleted: Measured<u64>,
    /// Elements whose every row is dead but that vacuum has not removed yet, or without any heap TID.
    pub elements_awaiting_vacuum: Measured<u64>,
    pub orphan_count: Measured<u64>,
    /// Live elements whose own top level is L, at position L.
    pub layer_distribution: Measured<Vec<u64>>,
    /// None: the index has no entry point (it is empty).
    pub entry_point: Measured<Option<EntryPoint>>,
    pub entry_point_quality: Measured<f64>,
    pub connectivity_score: Measured<f64>,
    pub fragmentation: Measured<f64>,
}

/// The lists of an IVFFlat index. Formulas: `pgvector::ivfflat::health`.
#[derive(Clone, Debug, PartialEq)]
pub struct IvfflatHealth {
    pub lists: Measured<u32>,
    pub dimensions: Measured<u32>,
    pub entries: Measured<u64>,
    pub empty_clusters: Measured<u32>,
    pub cluster_balance: Measured<f64>,
    pub centroid_quality: Measured<f64>,
    pub training_staleness_hours: Measured<f64>,
    /// Free space within the entry pages against their whole, 0 to 1.
    pub fragmentation: Measured<f64>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Structure {
    Hnsw(HnswHealth),
    Ivfflat(IvfflatHealth),
}

/// Everything that one measurement of an index found.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexHealth {
    pub size_bytes: u64,
    pub search: SearchQuality,
    pub structure: Structure,
    /// Things that a reader should know of how this was measured ("sampled: the index exceeds ...").
    pub notes: Vec<String>,
}

impl IndexHealth {
    /// The smallest value of the curve that reaches `recall_target` and keeps the blind share within
    /// `max_blind_share`; unknown where no measured value does.
    pub fn recommended(&self, recall_target: f64, max_blind_share: f64) -> Measured<Recommended> {
        let curve = match &self.search.curve {
            Measured::Known(curve) => curve,
            Measured::Unknown(reason) => return Measured::unknown(reason.clone()),
        };
        let Some(in_force) = self.search.parameter_in_force.get() else {
            return Measured::unknown("the parameter in force is unknown");
        };
        let Some(cost_now) = curve.iter().find(|p| p.value == in_force).map(|p| p.cost) else {
            return Measured::unknown("the curve does not hold the parameter in force");
        };
        match curve.iter().find(|p| p.recall >= recall_target && p.blind_share <= max_blind_share) {
            Some(p) => Measured::Known(Recommended {
                value: p.value,
                recall: p.recall,
                cost_ratio: if cost_now > 0.0 { p.cost / cost_now } else { 1.0 },
            }),
            None => {
                let best = curve.iter().map(|p| p.recall).fold(0.0, f64::max);
                Measured::unknown(format!(
                    "no measured value reaches recall {recall_target} with at most {max_blind_share} blind queries (best recall {best:.4})"
                ))
            }
        }
    }

    /// Every field that could not be measured, by the name that it has in the report.
    pub fn unknown_fields(&self) -> Vec<UnknownField> {
        let mut fields = Vec::new();
        let s = &self.search;
        note(&mut fields, "parameter_in_force", &s.parameter_in_force);
        note(&mut fields, "recall_at_10", &s.recall);
        note(&mut fields, "recall_p5", &s.recall_p5);
        note(&mut fields, "share_below_half", &s.share_below_half);
        note(&mut fields, "blind_share", &s.blind_share);
        note(&mut fields, "rows_returned_mean", &s.rows_returned_mean);
        note(&mut fields, "unfindable", &s.unfindable);
        note(&mut fields, "curve", &s.curve);
        match &self.structure {
            Structure::Hnsw(h) => {
                note(&mut fields, "m", &h.m);
                note(&mut fields, "ef_construction", &h.ef_construction);
                note(&mut fields, "dimensions", &h.dimensions);
                note(&mut fields, "elements_live", &h.elements_live);
                note(&mut fields, "elements_reachable", &h.elements_reachable);
                note(&mut fields, "elements_deleted", &h.elements_deleted);
                note(&mut fields, "elements_awaiting_vacuum", &h.elements_awaiting_vacuum);
                note(&mut fields, "orphan_count", &h.orphan_count);
                note(&mut fields, "layer_distribution", &h.layer_distribution);
                note(&mut fields, "entry_point", &h.entry_point);
                note(&mut fields, "entry_point_quality", &h.entry_point_quality);
                note(&mut fields, "connectivity_score", &h.connectivity_score);
                note(&mut fields, "fragmentation", &h.fragmentation);
            }
            Structure::Ivfflat(h) => {
                note(&mut fields, "lists", &h.lists);
                note(&mut fields, "dimensions", &h.dimensions);
                note(&mut fields, "entries", &h.entries);
                note(&mut fields, "empty_clusters", &h.empty_clusters);
                note(&mut fields, "cluster_balance", &h.cluster_balance);
                note(&mut fields, "centroid_quality", &h.centroid_quality);
                note(&mut fields, "training_staleness_hours", &h.training_staleness_hours);
                note(&mut fields, "fragmentation", &h.fragmentation);
            }
        }
        fields
    }
}

fn note<T>(fields: &mut Vec<UnknownField>, field: &str, value: &Measured<T>) {
    if let Some(reason) = value.reason() {
        fields.push(UnknownField { field: field.to_owned(), reason: reason.to_owned() });
    }
}
