use std::collections::HashMap;

use async_trait::async_trait;

use super::{BuildOptions, Candidate, Comparison, HostError, PolicyHost, Reinsertion, SettingScope, SqlRows, SqlValue};
use crate::model::{IndexHealth, IndexName, Tid};

/// Answers from what was already measured and refuses everything else: for questions that must not change or
/// cost anything (can-repair, propose in a dry run).
#[derive(Default)]
pub struct RefusingHost {
    health: Option<IndexHealth>,
    past_durations_ms: HashMap<String, u64>,
}

impl RefusingHost {
    pub fn new(health: Option<IndexHealth>) -> Self {
        RefusingHost { health, past_durations_ms: HashMap::new() }
    }

    /// Mean durations of earlier repairs by their type, in ms.
    pub fn with_past_durations(mut self, past_durations_ms: HashMap<String, u64>) -> Self {
        self.past_durations_ms = past_durations_ms;
        self
    }

    fn refuse<T>(&self) -> Result<T, HostError> {
        Err(HostError::Denied("dry run".to_owned()))
    }
}

#[async_trait]
impl PolicyHost for RefusingHost {
    async fn query(&self, _sql: &str, _params: Vec<SqlValue>) -> Result<SqlRows, HostError> {
        self.refuse()
    }
    async fn execute(&self, _sql: &str, _params: Vec<SqlValue>) -> Result<u64, HostError> {
        self.refuse()
    }
    async fn health(&self, _index: &IndexName) -> Result<IndexHealth, HostError> {
        self.health.clone().ok_or_else(|| HostError::Denied("dry run: nothing was measured beforehand".to_owned()))
    }
    async fn unfindable_rows(&self, _index: &IndexName, _limit: u32) -> Result<Vec<Tid>, HostError> {
        self.refuse()
    }
    async fn past_duration_ms(&self, repair_type: &str) -> Option<u64> {
        self.past_durations_ms.get(repair_type).copied()
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
    async fn set_parameter(&self, _name: &str, _value: &str, _scope: SettingScope) -> Result<(), HostError> {
        self.refuse()
    }
    async fn validate_on_scans(&self, _index: &IndexName, _value: u32) -> Result<(f64, f64), HostError> {
        self.refuse()
    }
}
