//! What a policy imports, answered by the call's `PolicyHost`. Names that a policy hands in are never trusted:
//! it can act on the index of its issue only.

use std::future::Future;
use std::mem;
use std::sync::Arc;

use super::bindings::strategy::pgheal::policy::{actions, context, database, log, measure, settings, types};
use super::conversions as to;
use crate::components::error::Violation;
use crate::components::state::CallState;
use crate::components::{HostError, PolicyHost, SettingScope, SqlRows, SqlValue};
use crate::model::IndexName;

type Answer<T> = wasmtime::Result<Result<T, types::HostError>>;

/// A line of the log is cut after so many bytes.
const LOG_LINE_BYTES: usize = 4 << 10;

impl CallState {
    /// Counts a call into the host.
    fn enter(&mut self) -> wasmtime::Result<()> {
        self.host_calls += 1;
        if self.host_calls > self.limits.host_calls {
            return Err(Violation::TooManyHostCalls.into());
        }
        Ok(())
    }

    fn own_index(&self, index: &types::IndexName) -> Result<IndexName, HostError> {
        match &self.index {
            Some(own) if own.oid == index.oid => {
                self.grant.check_schema(&self.policy, own)?;
                Ok(own.clone())
            }
            _ => Err(HostError::Denied(format!("index {} is not the one that this call is about", index.oid))),
        }
    }

    /// Runs a host function apart from the guest's time.
    async fn host<T, F>(&mut self, call: impl FnOnce(Arc<dyn PolicyHost>) -> F) -> Answer<T>
    where
        F: Future<Output = Result<T, HostError>>,
    {
        self.enter()?;
        let meter = self.meter.clone();
        Ok(meter.host(call(self.host.clone())).await.map_err(to::host_error))
    }

    /// An action without an index of its own.
    async fn act<T, F>(&mut self, action: &str, call: impl FnOnce(Arc<dyn PolicyHost>) -> F) -> Answer<T>
    where
        F: Future<Output = Result<T, HostError>>,
    {
        let granted = self.grant.check_action(&self.policy, action);
        self.host(|host| async move {
            granted?;
            call(host).await
        })
        .await
    }

    /// An action on one index.
    async fn act_on_index<T, F>(
        &mut self,
        action: &str,
        index: &types::IndexName,
        call: impl FnOnce(Arc<dyn PolicyHost>, IndexName) -> F,
    ) -> Answer<T>
    where
        F: Future<Output = Result<T, HostError>>,
    {
        let index = self.own_index(index);
        self.act(action, |host| async move { call(host, index?).await }).await
    }

    /// The same for a function of one index.
    async fn on_index<T, F>(
        &mut self,
        index: &types::IndexName,
        call: impl FnOnce(Arc<dyn PolicyHost>, IndexName) -> F,
    ) -> Answer<T>
    where
        F: Future<Output = Result<T, HostError>>,
    {
        let index = self.own_index(index);
        self.host(|host| async move { call(host, index?).await }).await
    }
}

impl types::Host for CallState {}
impl context::Host for CallState {}

impl settings::Host for CallState {
    async fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.enter()?;
        Ok(self.settings.get(&name).cloned())
    }
}

impl log::Host for CallState {
    async fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.enter()?;
        let message = printable(&message);
        if matches!(level, log::Level::Error) {
            self.log.last_error = Some(message.clone());
        }
        let (policy, digest) = (&*self.policy, &*self.digest);
        if self.log.lines == 0 || self.log.bytes < message.len() {
            if mem::take(&mut self.log.lines) > 0 || mem::take(&mut self.log.bytes) > 0 {
                tracing::warn!(target: "policy", policy, digest, "it logs too much: the rest of this call's lines is dropped");
            }
            return Ok(());
        }
        self.log.lines -= 1;
        self.log.bytes -= message.len();
        match level {
            log::Level::Debug => tracing::debug!(target: "policy", policy, digest, "{message}"),
            log::Level::Info => tracing::info!(target: "policy", policy, digest, "{message}"),
            log::Level::Warn => tracing::warn!(target: "policy", policy, digest, "{message}"),
            log::Level::Error => tracing::error!(target: "policy", policy, digest, "{message}"),
        }
        Ok(())
    }
}

/// Without control characters: a policy must not forge lines of the log or colours of a terminal.
fn printable(message: &str) -> String {
    let end = message.floor_char_boundary(LOG_LINE_BYTES);
    message[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl database::Host for CallState {
    async fn query(&mut self, sql: String, params: Vec<database::Value>) -> Answer<database::Rows> {
        let (max_rows, max_bytes) = (self.limits.rows_to_guest, self.limits.bytes_to_guest);
        let granted = self.grant.check_sql(&self.policy);
        let rows = self
            .host(|host| async move {
                granted?;
                let rows = host.query(&sql, to::sql_values(params)).await?;
                fits(&rows, max_rows, max_bytes)?;
                Ok(rows)
            })
            .await?;
        Ok(rows.map(to::sql_rows))
    }

    async fn execute(&mut self, sql: String, params: Vec<database::Value>) -> Answer<u64> {
        let granted = self.grant.check_sql(&self.policy);
        self.host(|host| async move {
            granted?;
            host.execute(&sql, to::sql_values(params)).await
        })
        .await
    }
}

fn fits(rows: &SqlRows, max_rows: usize, max_bytes: usize) -> Result<(), HostError> {
    let size = |value: &SqlValue| {
        mem::size_of::<SqlValue>()
            + match value {
                SqlValue::Text(text) => text.len(),
                _ => 0,
            }
    };
    let bytes: usize = rows.rows.iter().flatten().map(size).sum();
    if rows.rows.len() > max_rows {
        return Err(HostError::Limit(format!("the result has {} rows, the limit is {max_rows}", rows.rows.len())));
    }
    if bytes > max_bytes {
        return Err(HostError::Limit(format!("the result has {bytes} bytes, the limit is {max_bytes}")));
    }
    Ok(())
}

impl measure::Host for CallState {
    async fn health(&mut self, index: types::IndexName) -> Answer<types::IndexHealth> {
        let health = self.on_index(&index, |host, index| async move { host.health(&index).await }).await?;
        Ok(health.map(to::index_health))
    }

    async fn unfindable_rows(&mut self, index: types::IndexName, limit: u32) -> Answer<Vec<(u32, u16)>> {
        let limit = limit.min(u32::try_from(self.limits.rows_to_guest).unwrap_or(u32::MAX));
        let rows =
            self.on_index(&index, |host, index| async move { host.unfindable_rows(&index, limit).await }).await?;
        Ok(rows.map(|rows| rows.into_iter().take(limit as usize).map(|tid| (tid.block, tid.offset)).collect()))
    }

    async fn past_duration_ms(&mut self, repair_type: String) -> wasmtime::Result<Option<u64>> {
        let answer = self.host(|host| async move { Ok(host.past_duration_ms(&repair_type).await) }).await?;
        Ok(answer.ok().flatten())
    }
}

impl actions::Host for CallState {
    async fn build_beside(
        &mut self,
        index: types::IndexName,
        options: actions::BuildOptions,
    ) -> Answer<actions::Candidate> {
        let options = to::build_options(options);
        let built = self
            .act_on_index("build-beside", &index, |host, index| async move { host.build_beside(&index, options).await })
            .await?;
        Ok(built.map(to::candidate))
    }

    async fn compare(&mut self, candidate: actions::Candidate) -> Answer<actions::Comparison> {
        let compared = self.act("compare", |host| async move { host.compare(candidate.id).await }).await?;
        Ok(compared.map(to::comparison))
    }

    async fn swap(&mut self, candidate: actions::Candidate) -> Answer<()> {
        self.act("swap", |host| async move { host.swap(candidate.id).await }).await
    }

    async fn discard(&mut self, candidate: actions::Candidate) -> Answer<()> {
        self.act("discard", |host| async move { host.discard(candidate.id).await }).await
    }

    async fn reindex_concurrently(&mut self, index: types::IndexName) -> Answer<()> {
        self.act_on_index("reindex-concurrently", &index, |host, index| async move {
            host.reindex_concurrently(&index).await
        })
        .await
    }

    async fn vacuum(&mut self, index: types::IndexName) -> Answer<u64> {
        self.act_on_index("vacuum", &index, |host, index| async move { host.vacuum(&index).await }).await
    }

    async fn analyze(&mut self, index: types::IndexName) -> Answer<()> {
        self.act_on_index("analyze", &index, |host, index| async move { host.analyze(&index).await }).await
    }

    async fn reinsert_rows(&mut self, index: types::IndexName, rows: Vec<(u32, u16)>) -> Answer<actions::Reinsertion> {
        let done = self
            .act_on_index("reinsert-rows", &index, |host, index| async move {
                host.reinsert_rows(&index, to::tids(rows)).await
            })
            .await?;
        Ok(done.map(to::reinsertion))
    }

    async fn set_parameter(
        &mut self,
        name: String,
        value: String,
        scope: actions::SettingScope,
        role: Option<String>,
    ) -> Answer<()> {
        self.act("set-parameter", |host| async move {
            let scope = match (scope, role) {
                (actions::SettingScope::Database, _) => SettingScope::Database,
                (actions::SettingScope::Role, Some(role)) => SettingScope::Role(role),
                (actions::SettingScope::Role, None) => {
                    return Err(HostError::Denied("scope role needs a role's name".to_owned()));
                }
            };
            host.set_parameter(&name, &value, scope).await
        })
        .await
    }

    async fn validate_on_scans(&mut self, index: types::IndexName, value: u32) -> Answer<(f64, f64)> {
        self.act_on_index("validate-on-scans", &index, |host, index| async move {
            host.validate_on_scans(&index, value).await
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_hold_no_control_characters_and_end() {
        let check = |input: &str, expected: &str| assert_eq!(printable(input), expected);
        check("a\nb\u{1b}[31mc", "a b [31mc");
        assert_eq!(printable(&"é".repeat(5_000)).len(), LOG_LINE_BYTES);
    }

    #[test]
    fn results_that_are_too_large_are_refused() {
        let rows = SqlRows { columns: vec!["a".into()], rows: vec![vec![SqlValue::Text("x".repeat(100))]; 3] };
        assert!(fits(&rows, 3, 1_000).is_ok());
        assert!(matches!(fits(&rows, 2, 1_000), Err(HostError::Limit(_))));
        assert!(matches!(fits(&rows, 3, 300), Err(HostError::Limit(_))));
    }
}
