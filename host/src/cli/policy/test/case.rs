use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::expect::Expectations;
use crate::components::RepairContext;
use crate::components::played::PlayedDatabase;
use crate::config::Config;
use crate::model::{AccessMethod, Diagnosis, Evidence, IndexName, Issue, IssueKind, RootCause, Severity};

/// An issue to ask a policy about, with the world around it and what should come of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// For the reader: the file and the issue.
    pub title: String,
    pub diagnosis: Diagnosis,
    pub context: CaseContext,
    pub database: Option<PlayedDatabase>,
    pub expect: Expectations,
}

/// What a repair context says differently from the configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaseContext {
    pub recall_target: Option<f64>,
    pub max_blind_share: Option<f64>,
    pub consent_irreversible: Option<bool>,
    pub reinsertion_refused: Option<String>,
    pub rebuild_refused: Option<String>,
    pub parameter_refused: Option<String>,
    pub settings: BTreeMap<String, String>,
}

impl Case {
    pub fn issue(&self) -> &Issue {
        &self.diagnosis.issue
    }

    /// The configuration's context for the policy, with the case's differences.
    pub fn context(&self, config: &Config, dry_run: bool) -> RepairContext {
        let mut context = crate::heal::repair_context(config, &self.diagnosis, &Default::default(), dry_run);
        let own = &self.context;
        context.recall_target = own.recall_target.unwrap_or(context.recall_target);
        context.max_blind_share = own.max_blind_share.unwrap_or(context.max_blind_share);
        context.consent_irreversible = own.consent_irreversible.unwrap_or(context.consent_irreversible);
        context.reinsertion_refused = own.reinsertion_refused.clone().or(context.reinsertion_refused);
        context.rebuild_refused = own.rebuild_refused.clone().or(context.rebuild_refused);
        context.parameter_refused = own.parameter_refused.clone().or(context.parameter_refused);
        context.settings.extend(own.settings.clone());
        context
    }
}

/// An issue as a file writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenIssue {
    pub id: String,
    #[serde(default = "medium")]
    severity: Severity,
    kind: String,
    /// The kind's fields; required for every kind.
    #[serde(default)]
    details: Option<Value>,
    #[serde(default)]
    index: Option<WrittenIndex>,
    /// With an index that is a text.
    #[serde(default)]
    table: Option<String>,
    #[serde(default)]
    method: Option<AccessMethod>,
    #[serde(default)]
    evidence: Vec<Evidence>,
}

/// `"schema.name"` as `check --json` prints it, or the names one by one.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum WrittenIndex {
    Qualified(String),
    Names(IndexNames),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IndexNames {
    #[serde(default = "public")]
    schema: String,
    name: String,
    #[serde(default)]
    table_schema: Option<String>,
    table: String,
    method: AccessMethod,
}

fn medium() -> Severity {
    Severity::Medium
}

fn public() -> String {
    "public".to_owned()
}

/// What stands for the OIDs of an index and a table that exist in no database.
const PLAYED_INDEX_OID: u32 = 16_400;
const PLAYED_TABLE_OID: u32 = 16_390;

impl WrittenIssue {
    pub fn into_issue(self) -> Result<Issue, String> {
        let WrittenIssue { id, severity, kind, details, index, table, method, evidence } = self;
        let details = details.filter(|details| !details.is_null());
        let details = details.ok_or_else(|| format!("issue {id}: `details` with the fields of {kind} are missing"))?;
        let kind: IssueKind = serde_json::from_value(json!({ kind.as_str(): details }))
            .map_err(|error| format!("issue {id}: kind {kind:?}: {error}"))?;
        let index = match index {
            None => None,
            Some(WrittenIndex::Names(names)) => Some(IndexName {
                oid: PLAYED_INDEX_OID,
                table_oid: PLAYED_TABLE_OID,
                table_schema: names.table_schema.unwrap_or_else(|| names.schema.clone()),
                schema: names.schema,
                name: names.name,
                table: names.table,
                method: names.method,
            }),
            Some(WrittenIndex::Qualified(text)) => {
                let method = method.ok_or_else(|| format!("issue {id}: `method` (hnsw or ivfflat) is missing"))?;
                let table = table.ok_or_else(|| format!("issue {id}: `table` is missing"))?;
                let (schema, name) = names(&text).ok_or_else(|| format!("issue {id}: {text:?} is no schema.name"))?;
                let (table_schema, table) =
                    names(&table).ok_or_else(|| format!("issue {id}: {table:?} is no schema.name"))?;
                Some(IndexName {
                    oid: PLAYED_INDEX_OID,
                    table_oid: PLAYED_TABLE_OID,
                    schema,
                    name,
                    table_schema,
                    table,
                    method,
                })
            }
        };
        Ok(Issue { id, severity, kind, index, evidence })
    }
}

/// A diagnosis as a file writes it.
#[derive(Clone, Debug, Deserialize)]
pub struct WrittenDiagnosis {
    #[serde(default)]
    pub issue_id: String,
    cause: RootCause,
    #[serde(default)]
    confidence: f64,
    #[serde(default)]
    explanation: String,
    #[serde(default)]
    impact: String,
}

/// The issue with its diagnosis; inconclusive where nobody wrote one.
pub fn diagnosis(issue: Issue, written: Option<WrittenDiagnosis>) -> Diagnosis {
    let written = written.unwrap_or(WrittenDiagnosis {
        issue_id: String::new(),
        cause: RootCause::Inconclusive,
        confidence: 0.0,
        explanation: String::new(),
        impact: String::new(),
    });
    Diagnosis {
        issue,
        cause: written.cause,
        confidence: written.confidence,
        explanation: written.explanation,
        evidence: Vec::new(),
        impact: written.impact,
    }
}

/// Schema and name of a qualified name, quoted or not; without a schema it is public's.
fn names(text: &str) -> Option<(String, String)> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        let part = parts.last_mut()?;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => part.extend(chars.next()),
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c => part.push(c),
        }
    }
    if quoted || parts.iter().any(String::is_empty) {
        return None;
    }
    match parts.len() {
        1 => Some((public(), parts.remove(0))),
        2 => Some((parts.remove(0), parts.remove(0))),
        _ => None,
    }
}

/// A common issue, for measuring what a call costs.
pub fn sample_issue() -> Issue {
    Issue {
        id: "low_recall-1f0c6a".to_owned(),
        severity: Severity::High,
        kind: IssueKind::LowRecall { recall: 0.87, p5: 0.4, target: 0.95, k: 10, parameter_in_force: 40 },
        index: Some(IndexName {
            oid: PLAYED_INDEX_OID,
            schema: public(),
            name: "items_embedding_idx".to_owned(),
            table_oid: PLAYED_TABLE_OID,
            table_schema: public(),
            table: "items".to_owned(),
            method: AccessMethod::Hnsw,
        }),
        evidence: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualified_names_are_read_back() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            assert_eq!(names(text), expected.map(|(schema, name)| (schema.to_owned(), name.to_owned())), "{text}");
        };
        check("public.items_idx", Some(("public", "items_idx")));
        check("items_idx", Some(("public", "items_idx")));
        check("\"My Schema\".\"a.b \"\"c\"\"\"", Some(("My Schema", "a.b \"c\"")));
        check("a.b.c", None);
        check("\"open", None);
        check("a.", None);
    }
}
