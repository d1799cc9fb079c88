use serde_json::{Map, Value, json};

use super::{IndexReport, Proposal, Report};
use crate::config::Config;
use crate::heal::IndexFindings;
use crate::heal::detect::Verdict;
use crate::model::{IndexName, Issue, measurement_json, readable_name};

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
        IndexReport::Failed { name, reason } => failed_json(name, reason),
    }
}

/// An index that could not be measured.
pub fn failed_json(name: &IndexName, reason: &str) -> Value {
    json!({
        "schema": name.schema,
        "name": name.name,
        "table": name.table,
        "table_schema": name.table_schema,
        "method": name.method,
        "verdict": Verdict::Unknown.as_str(),
        "issues": [],
        "proposals": [],
        "unknown": [{"field": "*", "reason": reason}],
    })
}

/// An index as it was measured.
pub fn measured_json(findings: &IndexFindings, proposals: &[Proposal], config: &Config) -> Value {
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

fn extend(object: &mut Map<String, Value>, part: Value) {
    if let Value::Object(part) = part {
        object.extend(part);
    }
}
