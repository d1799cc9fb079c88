use async_trait::async_trait;

use crate::model::{IndexHealth, IndexName, Tid};

/// What a policy can ask of the host, in the host's own types. The interfaces of `wit/policy.wit` are
/// answered by it; the repair stage implements it for repairs, and with refusals for dry runs.
#[async_trait]
pub trait PolicyHost: Send + Sync {
    async fn query(&self, sql: &str, params: Vec<SqlValue>) -> Result<SqlRows, HostError>;
    async fn execute(&self, sql: &str, params: Vec<SqlValue>) -> Result<u64, HostError>;

    async fn health(&self, index: &IndexName) -> Result<IndexHealth, HostError>;
    async fn unfindable_rows(&self, index: &IndexName, limit: u32) -> Result<Vec<Tid>, HostError>;
    async fn past_duration_ms(&self, repair_type: &str) -> Option<u64>;

    async fn build_beside(&self, index: &IndexName, options: BuildOptions) -> Result<Candidate, HostError>;
    async fn compare(&self, candidate_id: u64) -> Result<Comparison, HostError>;
    async fn swap(&self, candidate_id: u64) -> Result<(), HostError>;
    async fn discard(&self, candidate_id: u64) -> Result<(), HostError>;
    async fn reindex_concurrently(&self, index: &IndexName) -> Result<(), HostError>;
    /// The duration in ms.
    async fn vacuum(&self, index: &IndexName) -> Result<u64, HostError>;
    async fn analyze(&self, index: &IndexName) -> Result<(), HostError>;
    async fn reinsert_rows(&self, index: &IndexName, rows: Vec<Tid>) -> Result<Reinsertion, HostError>;
    async fn set_parameter(&self, name: &str, value: &str, scope: SettingScope) -> Result<(), HostError>;
    /// Recall and mean latency in ms of real index scans with the search parameter at `value`.
    async fn validate_on_scans(&self, index: &IndexName, value: u32) -> Result<(f64, f64), HostError>;
}

#[derive(Clone, Debug, PartialEq)]
pub enum SqlValue {
    Null,
    Boolean(bool),
    Int64(i64),
    Float64(f64),
    Text(String),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct SqlRows {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<SqlValue>>,
}

/// None means: as the index is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuildOptions {
    pub m: Option<u32>,
    pub ef_construction: Option<u32>,
    pub lists: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub id: u64,
    pub name: String,
    pub size_bytes: u64,
    pub build_ms: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    pub before: IndexHealth,
    pub after: IndexHealth,
    pub latency_before_ms: Option<f64>,
    pub latency_after_ms: Option<f64>,
    pub gate_passed: bool,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reinsertion {
    pub rows: u64,
    pub skipped: u64,
    pub took_ms: u64,
    pub wal_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingScope {
    Database,
    Role(String),
}

/// Why the host did not do what a policy asked; the WIT's `host-error`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    #[error("not granted: {0}")]
    Denied(String),
    #[error("limit: {0}")]
    Limit(String),
    #[error("gate not passed: {0}")]
    GateFailed(String),
    #[error("not now: {0}")]
    NotNow(String),
    #[error("PostgreSQL ({sqlstate}): {message}")]
    Database { sqlstate: String, message: String },
    #[error("{0}")]
    Unknown(String),
}
