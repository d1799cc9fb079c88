//! What the outside (SQL endpoint, metrics, status) sees of the running daemon, and may ask of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::components::PoliciesStatus;
use crate::model::{HealingMetrics, Issue, RepairRecord};

/// The running daemon. Reading never waits for a database; asking waits no longer than it is told.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Every database under care, in the configured order, as it is known now.
    fn targets(&self) -> Vec<Arc<TargetView>>;

    fn policies(&self) -> PoliciesStatus;

    /// The settings `ruvector.dag_healing_*` for this target, with what a session brings along.
    ///
    /// # Errors
    /// A session's value that is out of range.
    fn settings(&self, target: &str, session: &SessionSettings) -> Result<Vec<EffectiveSetting>, Refusal>;

    /// Changes the running engine until it is changed again, or the daemon starts anew. None: back to what else
    /// holds.
    async fn set(&self, target: &str, name: &str, value: Option<&str>, caller: &Caller) -> Result<(), Refusal>;

    /// The vector indexes of a table (`name`, `schema.name`, quoted where needed), measured anew where that ends within
    /// `wait` and waits for no lock; else as they were measured last.
    async fn health_check(&self, target: &str, table: &str, wait: Duration) -> Result<Vec<IndexView>, Refusal>;

    /// The issues of a table, or of all (None), as the last cycle found them.
    async fn detected_issues(&self, target: &str, table: Option<&str>) -> Result<Vec<IssueView>, Refusal>;

    /// Asks for a repair. Answers at once; its progress is in the target's view, its end in the history.
    async fn repair(&self, target: &str, table: &str, issue_id: &str, caller: &Caller)
    -> Result<RepairTicket, Refusal>;

    /// The repairs of a table, or of all (None), of the last `days` days, newest first.
    async fn history(&self, target: &str, table: Option<&str>, days: u32) -> Result<Vec<RepairRecord>, Refusal>;
}

/// Who asks, and what he may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// A database role (told by the functions in the database) or an endpoint's user.
    pub name: String,
    pub role: Role,
}

/// Each may all that the one before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads status, health, issues and history.
    Reader,
    /// Asks for repairs.
    Operator,
    /// Changes settings.
    Admin,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Reader => "reader",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    /// For sentences.
    pub fn with_article(self) -> &'static str {
        match self {
            Role::Reader => "a reader",
            Role::Operator => "an operator",
            Role::Admin => "an admin",
        }
    }
}

/// Why the engine does not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no target {0}")]
    UnknownTarget(String),
    #[error("there is no table {0} with a vector index")]
    UnknownTable(String),
    /// The id is unknown, or the issue is gone meanwhile.
    #[error("{0}")]
    UnknownIssue(String),
    /// A repair of that issue, or on that table, is running.
    #[error("{0}")]
    Running(String),
    #[error("{0}")]
    NotPermitted(String),
    /// Name, value and range.
    #[error("{0}")]
    InvalidValue(String),
    /// This daemon cannot do it now: it stands by, or the database does not answer.
    #[error("{0}")]
    Unavailable(String),
}

/// One database as the daemon knows it.
#[derive(Clone, Debug)]
pub struct TargetView {
    /// Unique among the targets.
    pub name: String,
    /// The database's name, by which a session at the endpoint picks its target.
    pub database: String,
    /// Host, port and database, without a password.
    pub server: String,
    pub state: TargetState,
    pub state_since: SystemTime,
    pub metrics: HealingMetrics,
    /// The end of the last cycle that succeeded; None before the first.
    pub last_cycle: Option<CycleView>,
    pub indexes: Vec<IndexView>,
    pub active_repairs: Vec<ActiveRepair>,
    /// Whether issues are repaired without being asked.
    pub auto_heal_enabled: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetState {
    Connecting,
    /// Another pgheal leads on this database.
    Standby,
    Leading,
    /// The database cannot be worked with; it is tried again.
    Failed {
        reason: String,
    },
}

impl TargetState {
    pub fn name(&self) -> &'static str {
        match self {
            TargetState::Connecting => "connecting",
            TargetState::Standby => "standby",
            TargetState::Leading => "leading",
            TargetState::Failed { .. } => "failed",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct CycleView {
    pub ended_at: SystemTime,
    pub duration: Duration,
    pub detected_issues: usize,
    pub repairs_initiated: usize,
    /// Indexes that could not be measured, with the reason.
    pub failed_checks: Vec<(String, String)>,
}

/// An index as it was measured last.
#[derive(Clone, Debug)]
pub struct IndexView {
    pub schema: String,
    pub name: String,
    pub table_schema: String,
    pub table: String,
    pub method: &'static str,
    pub verdict: &'static str,
    pub measured_at: SystemTime,
    pub size_bytes: u64,
    /// None: unknown, see `unknown`.
    pub recall_at_10: Option<f64>,
    pub recall_p5: Option<f64>,
    pub blind_share: Option<f64>,
    pub recall_target: f64,
    pub issues: Vec<Issue>,
    /// The same object as in `indexes` of `pgheal check --json`; its `proposals` are empty: only `check` asks for them.
    pub document: serde_json::Value,
}

#[derive(Clone, Debug)]
pub struct IssueView {
    pub issue: Issue,
    pub detected_at: SystemTime,
    /// In words, from the diagnosis.
    pub explanation: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ActiveRepair {
    /// Of the request (manual repairs), else None.
    pub ticket: Option<i64>,
    pub issue_id: String,
    pub index: String,
    pub started_at: SystemTime,
    /// Phase and progress in words.
    pub progress: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairTicket {
    pub id: i64,
    pub message: String,
}

/// What a session brings along, by setting name; `''` means unset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionSettings(pub std::collections::BTreeMap<String, String>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveSetting {
    /// `ruvector.dag_healing_enabled`, ...
    pub name: &'static str,
    pub value: String,
    /// Where the value came from, the weakest first: `default`, `pgheal.toml`, `environment`, `flag`, `system`,
    /// `database`, `role`, `endpoint`, `session`.
    pub source: String,
    /// Why a value of a stronger source does not hold (out of range), where there is one.
    pub refused: Option<String>,
}
