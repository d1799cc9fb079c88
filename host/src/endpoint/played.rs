//! An engine that is played: two targets, and what was asked of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use serde_json::json;

use super::client_settings::ClientSettings;
use super::commands::{Answer, Command};
use super::context::{Context, Scope, SessionFacts};
use super::sql::{ParameterKinds, Refused, Value, split};
use crate::components::PoliciesStatus;
use crate::daemon::api::{
    Caller, EffectiveSetting, Engine, IndexView, IssueView, Refusal, RepairTicket, Role, SessionSettings, TargetState,
    TargetView,
};
use crate::model::{AccessMethod, Evidence, HealingMetrics, IndexName, Issue, IssueKind, RepairRecord, Severity};

#[derive(Default)]
pub struct Played {
    /// What was changed or asked for, in words.
    pub asked: Mutex<Vec<String>>,
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn index(name: &str, verdict: &'static str) -> IndexView {
    IndexView {
        schema: "public".to_owned(),
        name: name.to_owned(),
        table_schema: "public".to_owned(),
        table: "docs".to_owned(),
        method: "hnsw",
        verdict,
        measured_at: at(60),
        size_bytes: 8_192,
        recall_at_10: Some(0.9),
        recall_p5: None,
        blind_share: Some(0.0),
        recall_target: 0.95,
        issues: Vec::new(),
        document: json!({"name": name}),
    }
}

#[async_trait]
impl Engine for Played {
    fn targets(&self) -> Vec<Arc<TargetView>> {
        let target = |name: &str, database: &str, state, indexes| {
            Arc::new(TargetView {
                name: name.to_owned(),
                database: database.to_owned(),
                server: "db:5432/shop".to_owned(),
                state,
                state_since: at(0),
                metrics: HealingMetrics { checks_performed: 3, last_check_time: 1_000, ..HealingMetrics::default() },
                last_cycle: None,
                indexes,
                active_repairs: Vec::new(),
                auto_heal_enabled: true,
            })
        };
        let failed = TargetState::Failed { reason: "gone".to_owned() };
        vec![
            target("shop", "shop_db", TargetState::Leading, vec![index("a", "healthy"), index("b", "degraded")]),
            target("blog", "blog_db", failed, vec![index("c", "unknown")]),
        ]
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
        let own = session.0.get("ruvector.dag_healing_threshold");
        if own.is_some_and(|value| value.parse::<f64>().is_err()) {
            return Err(Refusal::InvalidValue("ruvector.dag_healing_threshold must lie in 0..1".to_owned()));
        }
        Ok(vec![EffectiveSetting {
            name: "ruvector.dag_healing_threshold",
            value: own.cloned().unwrap_or_else(|| "0.3".to_owned()),
            source: if own.is_some() { "session" } else { "default" }.to_owned(),
            refused: None,
        }])
    }

    async fn set(&self, target: &str, name: &str, value: Option<&str>, caller: &Caller) -> Result<(), Refusal> {
        self.asked.lock().unwrap().push(format!("{} sets {name} of {target} to {value:?}", caller.name));
        Ok(())
    }

    async fn health_check(&self, _: &str, table: &str, _: Duration) -> Result<Vec<IndexView>, Refusal> {
        match table {
            "docs" => Ok(vec![index("a", "healthy")]),
            _ => Err(Refusal::UnknownTable(table.to_owned())),
        }
    }

    async fn detected_issues(&self, target: &str, table: Option<&str>) -> Result<Vec<IssueView>, Refusal> {
        if table.is_some_and(|table| table != "docs") {
            return Err(Refusal::UnknownTable(table.unwrap_or_default().to_owned()));
        }
        let issue = |id: &str, severity| IssueView {
            issue: Issue {
                id: id.to_owned(),
                severity,
                kind: IssueKind::StaleTraining { hours: 200.0 },
                index: Some(IndexName {
                    oid: 1,
                    schema: "public".to_owned(),
                    name: "a".to_owned(),
                    table_oid: 2,
                    table_schema: "public".to_owned(),
                    table: "docs".to_owned(),
                    method: AccessMethod::Hnsw,
                }),
                evidence: vec![Evidence::new("age", "200 h")],
            },
            detected_at: at(120),
            explanation: format!("found in {target}"),
        };
        Ok(vec![issue("stale_training-1", Severity::Low), issue("stale_training-2", Severity::High)])
    }

    async fn repair(&self, target: &str, table: &str, issue: &str, caller: &Caller) -> Result<RepairTicket, Refusal> {
        self.asked.lock().unwrap().push(format!(
            "{} ({}) repairs {target} {table} {issue}",
            caller.name,
            caller.role.name()
        ));
        Ok(RepairTicket { id: 7, message: "asked for".to_owned() })
    }

    async fn history(&self, _: &str, _: Option<&str>, days: u32) -> Result<Vec<RepairRecord>, Refusal> {
        Ok(vec![RepairRecord {
            id: 1,
            issue_id: "stale_training-0".to_owned(),
            issue_kind: "stale_training".to_owned(),
            index: Some("public.a".to_owned()),
            strategy: "index-rebalance".to_owned(),
            digest: "d".to_owned(),
            started_at: "1970-01-01T00:00:00Z".to_owned(),
            finished_at: Some("1970-01-01T00:00:01.500Z".to_owned()),
            outcome: None,
            result: None,
            reason: format!("of {days} days"),
            before: json!({}),
            after: json!({}),
        }])
    }
}

/// A context that asks `engine` about one of its targets, as somebody with that role.
pub fn context(engine: Arc<Played>, target: Option<&str>, role: Role, forwards: bool) -> Context {
    Context {
        engine,
        scope: target.map_or(Scope::All, |name| Scope::One(name.to_owned())),
        caller: Caller { name: "ann".to_owned(), role },
        forwards,
        settings: SessionSettings(BTreeMap::new()),
        session: Arc::new(SessionFacts {
            user: "ann".to_owned(),
            database: target.unwrap_or("pgheal").to_owned(),
            pid: 4,
            client: ClientSettings::default(),
        }),
    }
}

/// Reads and carries out one statement.
pub async fn run(context: &Context, sql: &str, parameters: &[Value]) -> Result<Answer, Refused> {
    let tokens = split(sql)?.remove(0);
    Command::read(tokens, &mut ParameterKinds::default())?.run(context, parameters).await
}

/// The rows in words: columns apart by `|`, rows by a line's end.
pub fn told(answer: &Answer) -> String {
    let row = |row: &Vec<Value>| {
        row.iter().map(|value| value.to_text().unwrap_or_else(|| "NULL".to_owned())).collect::<Vec<_>>().join("|")
    };
    answer.rows.iter().map(row).collect::<Vec<_>>().join("\n")
}
