use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::super::{HostError, SqlValue};
use super::health::health_from_json;
use crate::model::IndexHealth;

/// What a played database answers. What is not played is refused, with words that say so.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlayedDatabase {
    /// Answers to SQL; the first one that fits is given.
    pub queries: Vec<PlayedSql>,
    /// What measuring finds, in the fields of `pgheal check --json`: one after the other, one further with each vacuum,
    /// reindex and setting; the last one stays.
    #[serde(deserialize_with = "healths")]
    pub health: Vec<IndexHealth>,
    /// Heap TIDs (block, offset) that a search does not find.
    pub unfindable_rows: Vec<(u32, u16)>,
    /// Mean durations of earlier repairs, by their type.
    pub past_duration_ms: BTreeMap<String, u64>,
    /// What each index that is built turns out to be, in order.
    pub builds: Vec<PlayedBuild>,
    /// Recall and mean latency in ms of real scans, by the value of ef_search or probes.
    pub scans: BTreeMap<u32, (f64, f64)>,
    pub vacuum_ms: u64,
    pub reinsertion: PlayedReinsertion,
    /// Host functions (`set_parameter`, `reinsert_rows`, ...) that are refused, and how.
    pub refuse: BTreeMap<HostFunction, PlayedError>,
}

/// A statement, compared without regard to white space, and its answer: rows, a number of changed rows, or an error.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlayedSql {
    pub sql: String,
    /// Absent: whatever they are.
    pub params: Option<Vec<PlayedValue>>,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<PlayedValue>>,
    /// What `execute` tells.
    pub changes: u64,
    pub error: Option<PlayedError>,
}

/// null, a boolean, a number or a text of JSON.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum PlayedValue {
    Null(()),
    Boolean(bool),
    Int64(i64),
    Float64(f64),
    Text(String),
}

impl From<PlayedValue> for SqlValue {
    fn from(value: PlayedValue) -> SqlValue {
        match value {
            PlayedValue::Null(()) => SqlValue::Null,
            PlayedValue::Boolean(value) => SqlValue::Boolean(value),
            PlayedValue::Int64(value) => SqlValue::Int64(value),
            PlayedValue::Float64(value) => SqlValue::Float64(value),
            PlayedValue::Text(value) => SqlValue::Text(value),
        }
    }
}

/// An index that was built beside the old one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlayedBuild {
    #[serde(deserialize_with = "health")]
    pub health: IndexHealth,
    pub gate_passed: bool,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub build_ms: u64,
    #[serde(default)]
    pub latency_before_ms: Option<f64>,
    #[serde(default)]
    pub latency_after_ms: Option<f64>,
}

/// What every re-insertion reports beside its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlayedReinsertion {
    pub skipped: u64,
    pub took_ms: u64,
    pub wal_bytes: u64,
}

/// The WIT's `host-error`: `{"denied": "why"}`, `{"database": ["42P01", "message"]}`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlayedError {
    Denied(String),
    Limit(String),
    GateFailed(String),
    NotNow(String),
    Database(String, String),
    Unknown(String),
}

impl From<PlayedError> for HostError {
    fn from(error: PlayedError) -> HostError {
        match error {
            PlayedError::Denied(text) => HostError::Denied(text),
            PlayedError::Limit(text) => HostError::Limit(text),
            PlayedError::GateFailed(text) => HostError::GateFailed(text),
            PlayedError::NotNow(text) => HostError::NotNow(text),
            PlayedError::Database(sqlstate, message) => HostError::Database { sqlstate, message },
            PlayedError::Unknown(text) => HostError::Unknown(text),
        }
    }
}

/// A function that can be refused, by the name that it has in transcripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostFunction {
    Query,
    Execute,
    Health,
    UnfindableRows,
    BuildBeside,
    Compare,
    Swap,
    Discard,
    ReindexConcurrently,
    Vacuum,
    Analyze,
    ReinsertRows,
    SetParameter,
    ValidateOnScans,
}

fn health<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IndexHealth, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    health_from_json(&value).map_err(serde::de::Error::custom)
}

fn healths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IndexHealth>, D::Error> {
    let values = Vec::<serde_json::Value>::deserialize(deserializer)?;
    values.iter().map(health_from_json).collect::<Result<_, _>>().map_err(serde::de::Error::custom)
}
