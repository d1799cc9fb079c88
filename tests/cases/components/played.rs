//! What a policy is told in these tests, and a database that is played.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pgheal::components::*;
use pgheal::model::*;

pub fn index() -> IndexName {
    IndexName {
        oid: 16_400,
        schema: "public".into(),
        name: "items \"embedding\" idx".into(),
        table_oid: 16_390,
        table_schema: "public".into(),
        table: "items".into(),
        method: AccessMethod::Hnsw,
    }
}

pub fn issue(id: &str) -> Issue {
    Issue {
        id: id.into(),
        severity: Severity::High,
        kind: IssueKind::LowRecall { recall: 0.8, p5: 0.3, target: 0.95, k: 10, parameter_in_force: 40 },
        index: Some(index()),
        evidence: Vec::new(),
    }
}

pub fn context(issue: &Issue) -> RepairContext {
    RepairContext {
        diagnosis: diagnosis(issue.clone()),
        recall_target: 0.95,
        max_blind_share: 0.005,
        dry_run: false,
        consent_irreversible: false,
        reinsertion_refused: None,
        rebuild_refused: None,
        parameter_refused: None,
        settings: Vec::new(),
    }
}

pub fn diagnosis(issue: Issue) -> Diagnosis {
    Diagnosis {
        issue,
        cause: RootCause::SearchEffortTooLow,
        confidence: 0.9,
        explanation: String::new(),
        evidence: Vec::new(),
        impact: String::new(),
    }
}

pub fn health(parameter: u32) -> IndexHealth {
    let curve = [(40, 0.8, 0.0, 400.0), (80, 0.96, 0.0, 700.0), (160, 0.99, 0.0, 1_200.0)];
    IndexHealth {
        size_bytes: 1 << 20,
        search: SearchQuality {
            k: 10,
            probe_count: 1_000,
            probe_source: ProbeSource::SampledRows,
            parameter_in_force: Measured::Known(parameter),
            recall: Measured::Known(if parameter >= 80 { 0.96 } else { 0.8 }),
            recall_p5: unknown(),
            share_below_half: unknown(),
            blind_share: Measured::Known(0.0),
            rows_returned_mean: unknown(),
            unfindable: Measured::Known(Unfindable { count: 0, of_sampled: 1_000 }),
            curve: Measured::Known(
                curve
                    .map(|(value, recall, blind_share, cost)| CurvePoint { value, recall, blind_share, cost })
                    .to_vec(),
            ),
        },
        structure: Structure::Hnsw(HnswHealth {
            m: Measured::Known(16),
            ef_construction: Measured::Known(64),
            dimensions: Measured::Known(3),
            elements_live: Measured::Known(1_000),
            elements_reachable: unknown(),
            elements_deleted: unknown(),
            elements_awaiting_vacuum: unknown(),
            orphan_count: unknown(),
            layer_distribution: unknown(),
            entry_point: unknown(),
            entry_point_quality: unknown(),
            connectivity_score: unknown(),
            fragmentation: unknown(),
        }),
        notes: Vec::new(),
    }
}

pub fn unknown<T>() -> Measured<T> {
    Measured::unknown("not played")
}

/// A database that is played: one index whose ef_search can be set.
pub struct Played {
    pub parameter: std::sync::Mutex<u32>,
    pub calls: std::sync::Mutex<Vec<String>>,
    pub health_takes: Duration,
    pub rows: usize,
}

impl Played {
    pub fn new() -> Arc<Self> {
        Arc::new(Played { parameter: 40.into(), calls: Vec::new().into(), health_takes: Duration::ZERO, rows: 1 })
    }

    fn note(&self, call: String) {
        self.calls.lock().expect("no test panics while it notes").push(call);
    }

    fn refuse<T>(&self) -> Result<T, HostError> {
        Err(HostError::Denied("not played".into()))
    }
}

#[async_trait]
impl PolicyHost for Played {
    async fn query(&self, _sql: &str, params: Vec<SqlValue>) -> Result<SqlRows, HostError> {
        Ok(SqlRows { columns: vec!["a".into()], rows: vec![params; self.rows] })
    }
    async fn execute(&self, _sql: &str, _params: Vec<SqlValue>) -> Result<u64, HostError> {
        self.refuse()
    }
    async fn health(&self, asked: &IndexName) -> Result<IndexHealth, HostError> {
        assert_eq!(*asked, index(), "the host's own name of the index, with its table's OID");
        tokio::time::sleep(self.health_takes).await;
        Ok(health(*self.parameter.lock().expect("no test panics here")))
    }
    async fn unfindable_rows(&self, _index: &IndexName, _limit: u32) -> Result<Vec<Tid>, HostError> {
        self.refuse()
    }
    async fn past_duration_ms(&self, repair_type: &str) -> Option<u64> {
        (repair_type == "parameter_tuning").then_some(1_234)
    }
    async fn build_beside(&self, _index: &IndexName, _options: BuildOptions) -> Result<Candidate, HostError> {
        self.refuse()
    }
    async fn compare(&self, _candidate_id: u64) -> Result<Comparison, HostError> {
        self.refuse()
    }
    async fn swap(&self, _candidate_id: u64) -> Result<(), HostError> {
        self.refuse()
    }
    async fn discard(&self, _candidate_id: u64) -> Result<(), HostError> {
        self.refuse()
    }
    async fn reindex_concurrently(&self, _index: &IndexName) -> Result<(), HostError> {
        self.refuse()
    }
    async fn vacuum(&self, _index: &IndexName) -> Result<u64, HostError> {
        self.refuse()
    }
    async fn analyze(&self, _index: &IndexName) -> Result<(), HostError> {
        self.refuse()
    }
    async fn reinsert_rows(&self, _index: &IndexName, _rows: Vec<Tid>) -> Result<Reinsertion, HostError> {
        self.refuse()
    }
    async fn set_parameter(&self, name: &str, value: &str, scope: SettingScope) -> Result<(), HostError> {
        self.note(format!("set {name} = {value} for {scope:?}"));
        *self.parameter.lock().expect("no test panics here") = value.parse().expect("a number");
        Ok(())
    }
    async fn validate_on_scans(&self, _index: &IndexName, value: u32) -> Result<(f64, f64), HostError> {
        Ok((if value >= 80 { 0.955 } else { 0.8 }, 0.5))
    }
}
