use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::super::{
    BuildOptions, Candidate, Comparison, HostError, PolicyHost, Reinsertion, SettingScope, SqlRows, SqlValue,
};
use crate::model::{IndexHealth, IndexName, Tid};

/// A call that a policy made of its host, and what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCall {
    /// The function and its arguments without the index: `set_parameter hnsw.ef_search=80 database`.
    pub call: String,
    pub answer: String,
}

impl fmt::Display for RecordedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.call, self.answer)
    }
}

/// Writes down what a policy asks of another host.
pub struct RecordingHost {
    inner: Arc<dyn PolicyHost>,
    calls: Mutex<Vec<RecordedCall>>,
}

impl RecordingHost {
    pub fn new(inner: Arc<dyn PolicyHost>) -> Self {
        RecordingHost { inner, calls: Mutex::default() }
    }

    /// The calls since the last time that this was asked.
    pub fn take(&self) -> Vec<RecordedCall> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note<T>(&self, call: String, outcome: &Result<T, HostError>, in_words: impl FnOnce(&T) -> String) {
        let answer = match outcome {
            Ok(value) => in_words(value),
            Err(error) => error.to_string(),
        };
        let call = RecordedCall { call, answer };
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }
}

fn done<T>(_: &T) -> String {
    "done".to_owned()
}

fn sql(function: &str, sql: &str, params: &[SqlValue]) -> String {
    let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    match params {
        [] => format!("{function} {sql}"),
        params => format!("{function} {sql} [{}]", params.iter().map(value).collect::<Vec<_>>().join(", ")),
    }
}

fn value(value: &SqlValue) -> String {
    match value {
        SqlValue::Null => "NULL".to_owned(),
        SqlValue::Boolean(value) => value.to_string(),
        SqlValue::Int64(value) => value.to_string(),
        SqlValue::Float64(value) => value.to_string(),
        SqlValue::Text(value) => format!("'{}'", value.replace('\'', "''")),
    }
}

fn options(options: BuildOptions) -> String {
    let BuildOptions { m, ef_construction, lists } = options;
    [("m", m), ("ef_construction", ef_construction), ("lists", lists)]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| format!(" {name}={value}")))
        .collect()
}

fn health(health: &IndexHealth) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.4}"));
    format!("recall {}, blind share {}", number(health.search.recall.get()), number(health.search.blind_share.get()))
}

#[async_trait]
impl PolicyHost for RecordingHost {
    async fn query(&self, text: &str, params: Vec<SqlValue>) -> Result<SqlRows, HostError> {
        let call = sql("query", text, &params);
        let outcome = self.inner.query(text, params).await;
        self.note(call, &outcome, |rows| format!("{} rows", rows.rows.len()));
        outcome
    }

    async fn execute(&self, text: &str, params: Vec<SqlValue>) -> Result<u64, HostError> {
        let call = sql("execute", text, &params);
        let outcome = self.inner.execute(text, params).await;
        self.note(call, &outcome, |rows| format!("{rows} rows changed"));
        outcome
    }

    async fn health(&self, index: &IndexName) -> Result<IndexHealth, HostError> {
        let outcome = self.inner.health(index).await;
        self.note("health".to_owned(), &outcome, health);
        outcome
    }

    async fn unfindable_rows(&self, index: &IndexName, limit: u32) -> Result<Vec<Tid>, HostError> {
        let outcome = self.inner.unfindable_rows(index, limit).await;
        self.note(format!("unfindable_rows {limit}"), &outcome, |rows| format!("{} rows", rows.len()));
        outcome
    }

    async fn past_duration_ms(&self, repair_type: &str) -> Option<u64> {
        let answer = self.inner.past_duration_ms(repair_type).await;
        self.note(format!("past_duration_ms {repair_type}"), &Ok(answer), |answer| {
            answer.map_or_else(|| "none".to_owned(), |ms| format!("{ms} ms"))
        });
        answer
    }

    async fn build_beside(&self, index: &IndexName, wanted: BuildOptions) -> Result<Candidate, HostError> {
        let outcome = self.inner.build_beside(index, wanted).await;
        self.note(format!("build_beside{}", options(wanted)), &outcome, |built| {
            format!("candidate {}, {} bytes", built.id, built.size_bytes)
        });
        outcome
    }

    async fn compare(&self, candidate_id: u64) -> Result<Comparison, HostError> {
        let outcome = self.inner.compare(candidate_id).await;
        self.note(format!("compare {candidate_id}"), &outcome, |comparison| {
            let gate = if comparison.gate_passed { "passed" } else { "not passed" };
            format!("{}, before {}; gate {gate}", health(&comparison.after), health(&comparison.before))
        });
        outcome
    }

    async fn swap(&self, candidate_id: u64) -> Result<(), HostError> {
        let outcome = self.inner.swap(candidate_id).await;
        self.note(format!("swap {candidate_id}"), &outcome, done);
        outcome
    }

    async fn discard(&self, candidate_id: u64) -> Result<(), HostError> {
        let outcome = self.inner.discard(candidate_id).await;
        self.note(format!("discard {candidate_id}"), &outcome, done);
        outcome
    }

    async fn reindex_concurrently(&self, index: &IndexName) -> Result<(), HostError> {
        let outcome = self.inner.reindex_concurrently(index).await;
        self.note("reindex_concurrently".to_owned(), &outcome, done);
        outcome
    }

    async fn vacuum(&self, index: &IndexName) -> Result<u64, HostError> {
        let outcome = self.inner.vacuum(index).await;
        self.note("vacuum".to_owned(), &outcome, |ms| format!("{ms} ms"));
        outcome
    }

    async fn analyze(&self, index: &IndexName) -> Result<(), HostError> {
        let outcome = self.inner.analyze(index).await;
        self.note("analyze".to_owned(), &outcome, done);
        outcome
    }

    async fn reinsert_rows(&self, index: &IndexName, rows: Vec<Tid>) -> Result<Reinsertion, HostError> {
        let call = format!("reinsert_rows {}", rows.len());
        let outcome = self.inner.reinsert_rows(index, rows).await;
        self.note(call, &outcome, |done| format!("{} rows, {} skipped", done.rows, done.skipped));
        outcome
    }

    async fn set_parameter(&self, name: &str, value: &str, scope: SettingScope) -> Result<(), HostError> {
        let whom = match &scope {
            SettingScope::Database => "database".to_owned(),
            SettingScope::Role(role) => format!("role {role}"),
        };
        let outcome = self.inner.set_parameter(name, value, scope).await;
        self.note(format!("set_parameter {name}={value} {whom}"), &outcome, done);
        outcome
    }

    async fn validate_on_scans(&self, index: &IndexName, value: u32) -> Result<(f64, f64), HostError> {
        let outcome = self.inner.validate_on_scans(index, value).await;
        self.note(format!("validate_on_scans {value}"), &outcome, |(recall, ms)| format!("recall {recall}, {ms} ms"));
        outcome
    }
}
