//! An engine for tests, which tells what it is given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use serde_json::json;

use crate::components::{PoliciesStatus, PolicyKind, PolicyState, PolicyStatus};
use crate::daemon::api::{
    ActiveRepair, Caller, CycleView, EffectiveSetting, Engine, IndexView, IssueView, Refusal, RepairTicket,
    SessionSettings, TargetState, TargetView,
};
use crate::model::{HealingMetrics, Issue, IssueKind, RepairRecord, Severity};

pub struct Played {
    targets: Vec<Arc<TargetView>>,
    policies: Vec<PolicyStatus>,
}

impl Played {
    pub fn new(targets: Vec<TargetView>) -> Played {
        Played { targets: targets.into_iter().map(Arc::new).collect(), policies: Vec::new() }
    }

    /// A target that is led, one that is stood by for, and a policy that failed twice.
    pub fn with_everything() -> Played {
        let mut shop = target("shop", TargetState::Leading);
        shop.metrics = HealingMetrics {
            checks_performed: 42,
            issues_detected: 12,
            repairs_initiated: 10,
            repairs_successful: 8,
            repairs_failed: 2,
            repairs_rolled_back: 1,
            total_repair_time_ms: 61_500,
            last_check_time: 1_764_000_000_000,
        };
        shop.last_cycle = Some(CycleView {
            ended_at: at(1_764_000_000),
            duration: Duration::from_millis(1_250),
            detected_issues: 2,
            repairs_initiated: 1,
            failed_checks: vec![("app.gone_idx".to_owned(), "it is gone".to_owned())],
        });
        shop.indexes = vec![index("docs_idx", Some(0.91)), index("unmeasured_idx", None)];
        shop.active_repairs = vec![ActiveRepair {
            ticket: Some(7),
            issue_id: "low_recall-0011aabb".to_owned(),
            index: "app.docs_idx".to_owned(),
            started_at: at(1_764_000_001),
            progress: "building".to_owned(),
        }];
        let policy = PolicyStatus {
            name: "index_rebalance".to_owned(),
            kind: PolicyKind::Strategy,
            file: "index_rebalance.wasm".to_owned(),
            digest: Some("0123456789abcdef".repeat(4)),
            since_ms: 1_764_000_000_000,
            state: PolicyState::Active,
            strikes: 2,
            calls: 17,
            failed_calls: BTreeMap::from([("trap".to_owned(), 2)]),
            failure: None,
        };
        Played { policies: vec![policy], ..Played::new(vec![shop, target("spare", TargetState::Standby)]) }
    }
}

pub fn target(name: &str, state: TargetState) -> TargetView {
    TargetView {
        name: name.to_owned(),
        database: name.to_owned(),
        server: format!("localhost:5432/{name}"),
        state,
        state_since: at(1_763_999_000),
        metrics: HealingMetrics::default(),
        last_cycle: None,
        indexes: Vec::new(),
        active_repairs: Vec::new(),
        auto_heal_enabled: true,
    }
}

fn index(name: &str, recall: Option<f64>) -> IndexView {
    let issue = |id: &str| Issue {
        id: id.to_owned(),
        severity: Severity::High,
        kind: IssueKind::LowRecall { recall: 0.91, p5: 0.4, target: 0.95, k: 10, parameter_in_force: 40 },
        index: None,
        evidence: Vec::new(),
    };
    IndexView {
        schema: "app".to_owned(),
        name: name.to_owned(),
        table_schema: "app".to_owned(),
        table: "docs".to_owned(),
        method: "hnsw",
        verdict: if recall.is_some() { "critical" } else { "unknown" },
        measured_at: at(1_764_000_000),
        size_bytes: 8_192,
        recall_at_10: recall,
        recall_p5: recall.map(|_| 0.4),
        blind_share: recall.map(|_| 0.02),
        recall_target: 0.95,
        issues: recall.map_or_else(Vec::new, |_| vec![issue("low_recall-1"), issue("low_recall-2")]),
        document: json!({}),
    }
}

fn at(unix_seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(unix_seconds)
}

fn not_played<T>() -> Result<T, Refusal> {
    Err(Refusal::Unavailable("this engine is played".to_owned()))
}

#[async_trait]
impl Engine for Played {
    fn targets(&self) -> Vec<Arc<TargetView>> {
        self.targets.clone()
    }

    fn policies(&self) -> PoliciesStatus {
        PoliciesStatus {
            format: 1,
            pid: std::process::id(),
            serves: true,
            directory: "policies".to_owned(),
            since_ms: 0,
            written_ms: 0,
            not_remembered: None,
            policies: self.policies.clone(),
            failures: Vec::new(),
            failures_untold: 0,
        }
    }

    fn settings(&self, _: &str, _: &SessionSettings) -> Result<Vec<EffectiveSetting>, Refusal> {
        not_played()
    }

    async fn set(&self, _: &str, _: &str, _: Option<&str>, _: &Caller) -> Result<(), Refusal> {
        not_played()
    }

    async fn health_check(&self, _: &str, _: &str, _: Duration) -> Result<Vec<IndexView>, Refusal> {
        not_played()
    }

    async fn detected_issues(&self, _: &str, _: Option<&str>) -> Result<Vec<IssueView>, Refusal> {
        not_played()
    }

    async fn repair(&self, _: &str, _: &str, _: &str, _: &Caller) -> Result<RepairTicket, Refusal> {
        not_played()
    }

    async fn history(&self, _: &str, _: Option<&str>, _: u32) -> Result<Vec<RepairRecord>, Refusal> {
        not_played()
    }
}
