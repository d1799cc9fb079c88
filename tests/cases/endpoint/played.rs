use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use pgheal::components::PoliciesStatus;
use pgheal::daemon::api::{
    Caller, EffectiveSetting, Engine, IndexView, IssueView, Refusal, RepairTicket, SessionSettings, TargetState,
    TargetView,
};
use pgheal::model::{AccessMethod, Evidence, HealingMetrics, IndexName, Issue, IssueKind, RepairRecord, Severity};
use serde_json::json;

/// An engine without a database. Table `docs` is known; a health check of `slow` does not end.
#[derive(Default)]
pub struct Played {
    pub asked: Mutex<Vec<String>>,
}

impl Played {
    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn index() -> IndexView {
    IndexView {
        schema: "public".to_owned(),
        name: "docs_idx".to_owned(),
        table_schema: "public".to_owned(),
        table: "docs".to_owned(),
        method: "hnsw",
        verdict: "degraded",
        measured_at: at(60),
        size_bytes: 8_192,
        recall_at_10: Some(0.9),
        recall_p5: None,
        blind_share: Some(0.0),
        recall_target: 0.95,
        issues: Vec::new(),
        document: json!({"name": "docs_idx", "verdict": "degraded"}),
    }
}

#[async_trait]
impl Engine for Played {
    fn targets(&self) -> Vec<Arc<TargetView>> {
        vec![Arc::new(TargetView {
            name: "shop".to_owned(),
            database: "shop_db".to_owned(),
            server: "db:5432/shop_db".to_owned(),
            state: TargetState::Leading,
            state_since: at(0),
            metrics: HealingMetrics { checks_performed: 3, ..HealingMetrics::default() },
            last_cycle: None,
            indexes: vec![index()],
            active_repairs: Vec::new(),
            auto_heal_enabled: true,
        })]
    }

    fn policies(&self) -> PoliciesStatus {
        PoliciesStatus {
            format: 1,
            pid: 1,
            serves: true,
            directory: String::new(),
            since_ms: 0,
            written_ms: 0,
            not_remembered: None,
            policies: Vec::new(),
            failures: Vec::new(),
            failures_untold: 0,
        }
    }

    fn settings(&self, _: &str, session: &SessionSettings) -> Result<Vec<EffectiveSetting>, Refusal> {
        let value = session.0.get("ruvector.dag_healing_threshold").cloned();
        if value.as_ref().is_some_and(|value| value.parse::<f64>().is_err()) {
            return Err(Refusal::InvalidValue("ruvector.dag_healing_threshold must lie in 0..1".to_owned()));
        }
        Ok(vec![EffectiveSetting {
            name: "ruvector.dag_healing_threshold",
            value: value.unwrap_or_else(|| "0.3".to_owned()),
            source: "default".to_owned(),
            refused: None,
        }])
    }

    async fn set(&self, _: &str, name: &str, value: Option<&str>, caller: &Caller) -> Result<(), Refusal> {
        self.note(format!("{} sets {name} to {value:?}", caller.name));
        Ok(())
    }

    async fn health_check(&self, _: &str, table: &str, _: Duration) -> Result<Vec<IndexView>, Refusal> {
        match table {
            "docs" => Ok(vec![index()]),
            "slow" => std::future::pending().await,
            _ => Err(Refusal::UnknownTable(table.to_owned())),
        }
    }

    async fn detected_issues(&self, _: &str, table: Option<&str>) -> Result<Vec<IssueView>, Refusal> {
        if table.is_some_and(|table| table != "docs") {
            return Err(Refusal::UnknownTable(table.unwrap_or_default().to_owned()));
        }
        let issue = |number: u32| IssueView {
            issue: Issue {
                id: format!("stale_training-{number}"),
                severity: Severity::Medium,
                kind: IssueKind::StaleTraining { hours: 200.0 },
                index: Some(IndexName {
                    oid: 1,
                    schema: "public".to_owned(),
                    name: "docs_idx".to_owned(),
                    table_oid: 2,
                    table_schema: "public".to_owned(),
                    table: "docs".to_owned(),
                    method: AccessMethod::Hnsw,
                }),
                evidence: vec![Evidence::new("age", "200 h")],
            },
            detected_at: at(120),
            explanation: "old".to_owned(),
        };
        Ok((1..=3).map(issue).collect())
    }

    async fn repair(&self, _: &str, table: &str, issue: &str, caller: &Caller) -> Result<RepairTicket, Refusal> {
        self.note(format!("{} repairs {table} {issue}", caller.name));
        Ok(RepairTicket { id: 7, message: "asked for".to_owned() })
    }

    async fn history(&self, _: &str, _: Option<&str>, days: u32) -> Result<Vec<RepairRecord>, Refusal> {
        Ok(vec![RepairRecord {
            id: 1,
            issue_id: "stale_training-0".to_owned(),
            issue_kind: "stale_training".to_owned(),
            index: Some("public.docs_idx".to_owned()),
            strategy: "index-rebalance".to_owned(),
            digest: "d".to_owned(),
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            finished_at: Some("2026-01-01T00:00:01.500Z".to_owned()),
            outcome: Some(pgheal::model::Outcome::Healed),
            result: None,
            reason: format!("of {days} days"),
            before: json!({}),
            after: json!({}),
        }])
    }
}
