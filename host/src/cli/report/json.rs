use serde_json::{Map, Value, json};

use super::{IndexReport, Proposal, Report};
use crate::config::Config;
use crate::heal::IndexFindings;
use crate::heal::detect::Verdict;
use crate::model::{AccessMethod, IndexHealth, Issue, Structure, readable_name};

/// The document that `pgheal check --json` prints.
pub fn to_json(report: &Report) -> Value {
    json!({
        "server": report.server,
        "database": report.facts.database,
        "postgres_version": report.facts.version,
        "pgvector_version": report.facts.vector_version,
        "indexes": report.indexes.iter().map(|i| index_json(i, &report.config)).collect::<Vec<_>>(),
        "notes": report.notes,
    })
}

fn index_json(index: &IndexReport, config: &Config) -> Value {
    match index {
        IndexReport::Measured { findings, proposals } => measured_json(findings, proposals, config),
        IndexReport::Failed { name, reason } => json!({
            "schema": name.schema,
            "name": name.name,
            "table": name.table,
            "method": name.method,
            "verdict": Verdict::Unknown.as_str(),
            "issues": [],
            "proposals": [],
            "unknown": [{"field": "*", "reason": reason}],
        }),
    }
}

fn measured_json(findings: &IndexFindings, proposals: &[Proposal], config: &Config) -> Value {
    let definition = &findings.definition;
    let name = &definition.name;
    let health = &findings.measurement.health;
    let target = config.recall_target(&name.schema, &name.name);
    let recommended = health.recommended(target, config.measure.max_blind_share);
    let mut object = Map::new();
    let head = json!({
        "schema": name.schema,
        "name": name.name,
        "table": name.table,
        "table_schema": name.table_schema,
        "method": name.method,
        "type": definition.vector_type,
        "opclass": definition.opclass,
        "definition": definition.definition,
        "verdict": findings.verdict.as_str(),
        "recall_target": target,
        "recommended": recommended.known(),
    });
    extend(&mut object, head);
    extend(&mut object, measurement_json(health));
    let mut unknown = health.unknown_fields();
    if let Some(reason) = recommended.reason() {
        unknown.push(crate::model::UnknownField { field: "recommended".to_owned(), reason: reason.to_owned() });
    }
    let tail = json!({
        "issues": findings.issues.iter().map(issue_json).collect::<Vec<_>>(),
        "diagnoses": findings.diagnoses.iter().map(|d| json!({
            "issue_id": d.issue.id,
            "cause": d.cause.name(),
            "confidence": d.confidence,
            "explanation": d.explanation,
            "impact": d.impact,
        })).collect::<Vec<_>>(),
        "proposals": proposals.iter().map(|p| json!({
            "issue_id": p.issue_id,
            "strategy": p.strategy,
            "expects": p.expects,
        })).collect::<Vec<_>>(),
        "unknown": unknown,
    });
    extend(&mut object, tail);
    Value::Object(object)
}

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

pub fn issue_json(issue: &Issue) -> Value {
    json!({
        "id": issue.id,
        "kind": issue.kind.name(),
        "details": details(issue),
        "severity": issue.severity,
        "index": issue.index.as_ref().map(ToString::to_string),
        "table": issue.index.as_ref().map(|index| readable_name(&index.table_schema, &index.table)),
        "method": issue.index.as_ref().map(|index| index.method),
        "evidence": issue.evidence,
    })
}

/// What is measured of the issue, by the kind's own fields.
fn details(issue: &Issue) -> Value {
    match serde_json::to_value(&issue.kind) {
        Ok(Value::Object(mut kind)) => kind.remove(issue.kind.name()).unwrap_or(Value::Null),
        _ => Value::Null,
    }
}

/// The setting's name without its extension's prefix: ef_search, probes.
pub(super) fn short_parameter(method: AccessMethod) -> &'static str {
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
