use std::collections::{BTreeSet, HashMap};
use std::sync::Weak;
use std::time::SystemTime;

use super::Care;
use crate::cli::report::{failed_json, measured_json};
use crate::config::Config;
use crate::daemon::api::{IndexView, IssueView};
use crate::heal::detect::Verdict;
use crate::heal::{IndexFindings, Witness};
use crate::model::{IndexDefinition, IndexName, Issue};

/// The indexes as they were seen last.
#[derive(Default)]
pub(super) struct Seen {
    indexes: Vec<SeenIndex>,
    /// Since when an issue is known.
    known_since: HashMap<String, SystemTime>,
}

struct SeenIndex {
    name: IndexName,
    view: IndexView,
    /// By issue.
    explanations: HashMap<String, String>,
}

impl Seen {
    pub fn indexes(&self) -> Vec<IndexView> {
        self.indexes.iter().map(|index| index.view.clone()).collect()
    }

    /// Of these tables.
    pub fn indexes_of(&self, tables: &BTreeSet<u32>) -> Vec<IndexView> {
        self.of(Some(tables)).map(|index| index.view.clone()).collect()
    }

    /// Of these tables, or of all.
    pub fn issues(&self, tables: Option<&BTreeSet<u32>>) -> Vec<IssueView> {
        self.of(tables)
            .flat_map(|index| {
                index.view.issues.iter().map(move |issue| IssueView {
                    issue: issue.clone(),
                    detected_at: self.known_since.get(&issue.id).copied().unwrap_or(index.view.measured_at),
                    explanation: index.explanations.get(&issue.id).cloned().unwrap_or_default(),
                })
            })
            .collect()
    }

    /// The issue of this id, where it is one of these tables'.
    pub fn issue(&self, tables: &BTreeSet<u32>, id: &str) -> Option<(Issue, IndexName)> {
        self.of(Some(tables)).find_map(|index| {
            let issue = index.view.issues.iter().find(|issue| issue.id == id)?;
            Some((issue.clone(), index.name.clone()))
        })
    }

    fn of<'a>(&'a self, tables: Option<&'a BTreeSet<u32>>) -> impl Iterator<Item = &'a SeenIndex> {
        self.indexes.iter().filter(move |index| tables.is_none_or(|tables| tables.contains(&index.name.table_oid)))
    }

    /// What is not there any more is forgotten; a swap keeps the name and changes the OID.
    pub fn listed(&mut self, indexes: &[IndexDefinition]) {
        self.indexes.retain(|seen| indexes.iter().any(|index| is_same(&index.name, &seen.name)));
        self.forget_gone_issues();
    }

    pub fn measured(&mut self, findings: &IndexFindings, config: &Config) {
        let name = &findings.definition.name;
        let search = &findings.measurement.health.search;
        let document = measured_json(findings, &[], config);
        let view = IndexView {
            verdict: findings.verdict.as_str(),
            size_bytes: findings.measurement.health.size_bytes,
            recall_at_10: search.recall.get(),
            recall_p5: search.recall_p5.get(),
            blind_share: search.blind_share.get(),
            issues: findings.issues.clone(),
            ..unmeasured(&findings.definition, document, config)
        };
        let now = view.measured_at;
        for issue in &view.issues {
            self.known_since.entry(issue.id.clone()).or_insert(now);
        }
        let explanations = findings.diagnoses.iter().map(|d| (d.issue.id.clone(), d.explanation.clone())).collect();
        self.put(SeenIndex { name: name.clone(), view, explanations });
    }

    pub fn failed(&mut self, definition: &IndexDefinition, reason: &str, config: &Config) {
        let name = definition.name.clone();
        let view = unmeasured(definition, failed_json(&name, reason), config);
        self.put(SeenIndex { name, view, explanations: HashMap::new() });
    }

    fn put(&mut self, index: SeenIndex) {
        match self.indexes.iter_mut().find(|seen| is_same(&seen.name, &index.name)) {
            Some(seen) => *seen = index,
            None => {
                self.indexes.push(index);
                self.indexes.sort_by(|a, b| order(&a.name).cmp(&order(&b.name)));
            }
        }
        self.forget_gone_issues();
    }

    fn forget_gone_issues(&mut self) {
        let ids: BTreeSet<&str> =
            self.indexes.iter().flat_map(|index| &index.view.issues).map(|issue| issue.id.as_str()).collect();
        self.known_since.retain(|id, _| ids.contains(id.as_str()));
    }
}

/// What is known of an index without a measurement.
fn unmeasured(definition: &IndexDefinition, document: serde_json::Value, config: &Config) -> IndexView {
    let name = &definition.name;
    IndexView {
        schema: name.schema.clone(),
        name: name.name.clone(),
        table_schema: name.table_schema.clone(),
        table: name.table.clone(),
        method: name.method.as_str(),
        verdict: Verdict::Unknown.as_str(),
        measured_at: SystemTime::now(),
        size_bytes: definition.size_bytes,
        recall_at_10: None,
        recall_p5: None,
        blind_share: None,
        recall_target: config.recall_target(&name.schema, &name.name),
        issues: Vec::new(),
        document,
    }
}

fn is_same(a: &IndexName, b: &IndexName) -> bool {
    (&a.schema, &a.name) == (&b.schema, &b.name)
}

fn order(name: &IndexName) -> (&str, &str, &str) {
    (&name.table_schema, &name.table, &name.name)
}

/// What the loop shows the database's care.
pub(super) struct Eyes(pub Weak<Care>);

impl Witness for Eyes {
    fn listed(&self, indexes: &[IndexDefinition]) {
        if let Some(care) = self.0.upgrade() {
            care.seen().listed(indexes);
        }
    }

    fn measured(&self, findings: &IndexFindings) {
        if let Some(care) = self.0.upgrade() {
            let config = care.config();
            care.seen().measured(findings, &config);
        }
    }

    fn failed(&self, index: &IndexDefinition, reason: &str) {
        if let Some(care) = self.0.upgrade() {
            let config = care.config();
            care.seen().failed(index, reason, &config);
        }
    }

    /// The next cycle may be far away.
    fn repaired(&self, index: &IndexName) {
        if let Some(care) = self.0.upgrade() {
            care.look_again(index.table_oid);
        }
    }
}
