use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::super::{
    BuildOptions, Candidate, Comparison, HostError, PolicyHost, Reinsertion, SettingScope, SqlRows, SqlValue,
};
use super::script::{HostFunction, PlayedBuild, PlayedDatabase, PlayedSql};
use crate::model::{IndexHealth, IndexName, Measured, Structure, Tid};

/// Answers as the script says; one repair.
pub struct PlayedHost {
    script: PlayedDatabase,
    state: Mutex<State>,
}

struct State {
    healths: VecDeque<IndexHealth>,
    builds: VecDeque<PlayedBuild>,
    /// Built and neither swapped nor discarded yet, by id.
    candidates: Vec<(u64, PlayedBuild)>,
    compared: Vec<u64>,
    built: u64,
}

impl State {
    /// The next health, where there is one.
    fn go_on(&mut self) -> bool {
        if self.healths.len() < 2 {
            return false;
        }
        self.healths.pop_front();
        true
    }

    fn candidate(&self, id: u64) -> Result<&PlayedBuild, HostError> {
        let found = self.candidates.iter().find(|(known, _)| *known == id);
        found.map(|(_, build)| build).ok_or_else(|| HostError::Denied(format!("there is no candidate {id}")))
    }

    fn now(&self) -> Result<IndexHealth, HostError> {
        self.healths.front().cloned().ok_or_else(|| not_played("a health"))
    }
}

impl PlayedHost {
    pub fn new(script: PlayedDatabase) -> Self {
        let state = State {
            healths: script.health.clone().into(),
            builds: script.builds.clone().into(),
            candidates: Vec::new(),
            compared: Vec::new(),
            built: 0,
        };
        PlayedHost { script, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn allow(&self, function: HostFunction) -> Result<(), HostError> {
        match self.script.refuse.get(&function) {
            Some(error) => Err(error.clone().into()),
            None => Ok(()),
        }
    }

    fn answer(&self, sql: &str, params: &[SqlValue]) -> Result<&PlayedSql, HostError> {
        let plain = |sql: &str| sql.split_whitespace().collect::<Vec<_>>().join(" ");
        let wanted = plain(sql);
        let fits = |answer: &&PlayedSql| {
            plain(&answer.sql) == wanted
                && answer
                    .params
                    .as_ref()
                    .is_none_or(|given| given.iter().cloned().map(SqlValue::from).collect::<Vec<_>>() == params)
        };
        let answer = self.script.queries.iter().find(fits).ok_or_else(|| not_played("an answer to this SQL"))?;
        match &answer.error {
            Some(error) => Err(error.clone().into()),
            None => Ok(answer),
        }
    }
}

fn not_played(what: &str) -> HostError {
    HostError::Unknown(format!("the played database has not {what}"))
}

#[async_trait]
impl PolicyHost for PlayedHost {
    async fn query(&self, sql: &str, params: Vec<SqlValue>) -> Result<SqlRows, HostError> {
        self.allow(HostFunction::Query)?;
        let answer = self.answer(sql, &params)?;
        let row = |row: &Vec<_>| row.iter().cloned().map(SqlValue::from).collect();
        Ok(SqlRows { columns: answer.columns.clone(), rows: answer.rows.iter().map(row).collect() })
    }

    async fn execute(&self, sql: &str, params: Vec<SqlValue>) -> Result<u64, HostError> {
        self.allow(HostFunction::Execute)?;
        Ok(self.answer(sql, &params)?.changes)
    }

    async fn health(&self, _index: &IndexName) -> Result<IndexHealth, HostError> {
        self.allow(HostFunction::Health)?;
        self.state().now()
    }

    async fn unfindable_rows(&self, _index: &IndexName, limit: u32) -> Result<Vec<Tid>, HostError> {
        self.allow(HostFunction::UnfindableRows)?;
        let rows = self.script.unfindable_rows.iter().take(limit as usize);
        Ok(rows.map(|&(block, offset)| Tid { block, offset }).collect())
    }

    async fn past_duration_ms(&self, repair_type: &str) -> Option<u64> {
        self.script.past_duration_ms.get(repair_type).copied()
    }

    async fn build_beside(&self, index: &IndexName, _options: BuildOptions) -> Result<Candidate, HostError> {
        self.allow(HostFunction::BuildBeside)?;
        let mut state = self.state();
        let build = state.builds.pop_front().ok_or_else(|| not_played("another build"))?;
        state.built += 1;
        let id = state.built;
        let (size_bytes, build_ms) = (build.health.size_bytes, build.build_ms);
        state.candidates.push((id, build));
        Ok(Candidate { id, name: format!("{}_pgheal_{id}", index.name), size_bytes, build_ms })
    }

    async fn compare(&self, candidate_id: u64) -> Result<Comparison, HostError> {
        self.allow(HostFunction::Compare)?;
        let mut state = self.state();
        let before = state.now()?;
        let build = state.candidate(candidate_id)?.clone();
        state.compared.push(candidate_id);
        Ok(Comparison {
            before,
            after: build.health,
            latency_before_ms: build.latency_before_ms,
            latency_after_ms: build.latency_after_ms,
            gate_passed: build.gate_passed,
            reason: build.reason,
        })
    }

    async fn swap(&self, candidate_id: u64) -> Result<(), HostError> {
        self.allow(HostFunction::Swap)?;
        let mut state = self.state();
        let build = state.candidate(candidate_id)?.clone();
        if !build.gate_passed || !state.compared.contains(&candidate_id) {
            return Err(HostError::GateFailed("compare did not say that the gate is passed".to_owned()));
        }
        state.candidates.retain(|(id, _)| *id != candidate_id);
        state.healths = VecDeque::from([build.health]);
        Ok(())
    }

    async fn discard(&self, candidate_id: u64) -> Result<(), HostError> {
        self.allow(HostFunction::Discard)?;
        let mut state = self.state();
        state.candidate(candidate_id)?;
        state.candidates.retain(|(id, _)| *id != candidate_id);
        Ok(())
    }

    async fn reindex_concurrently(&self, _index: &IndexName) -> Result<(), HostError> {
        self.allow(HostFunction::ReindexConcurrently)?;
        self.state().go_on();
        Ok(())
    }

    async fn vacuum(&self, _index: &IndexName) -> Result<u64, HostError> {
        self.allow(HostFunction::Vacuum)?;
        self.state().go_on();
        Ok(self.script.vacuum_ms)
    }

    async fn analyze(&self, _index: &IndexName) -> Result<(), HostError> {
        self.allow(HostFunction::Analyze)
    }

    async fn reinsert_rows(&self, _index: &IndexName, rows: Vec<Tid>) -> Result<Reinsertion, HostError> {
        self.allow(HostFunction::ReinsertRows)?;
        let played = self.script.reinsertion;
        Ok(Reinsertion {
            rows: (rows.len() as u64).saturating_sub(played.skipped),
            skipped: played.skipped,
            took_ms: played.took_ms,
            wal_bytes: played.wal_bytes,
        })
    }

    /// Goes on to the next health; where none is left, the value is in force from now on, with the recall that the
    /// curve has for it.
    async fn set_parameter(&self, name: &str, value: &str, _scope: SettingScope) -> Result<(), HostError> {
        self.allow(HostFunction::SetParameter)?;
        let mut state = self.state();
        if state.go_on() {
            return Ok(());
        }
        let Some(health) = state.healths.front_mut() else { return Ok(()) };
        let searched_with = match health.structure {
            Structure::Hnsw(_) => "hnsw.ef_search",
            Structure::Ivfflat(_) => "ivfflat.probes",
        };
        if name != searched_with {
            return Ok(());
        }
        let Ok(value) = value.parse() else {
            return Err(HostError::Database {
                sqlstate: "22023".to_owned(),
                message: format!("invalid value for parameter \"{name}\": \"{value}\""),
            });
        };
        let search = &mut health.search;
        let point = search.curve.known().and_then(|curve| curve.iter().find(|p| p.value == value)).copied();
        let unknown = || Measured::unknown(format!("the played curve has no point at {value}"));
        search.parameter_in_force = Measured::Known(value);
        search.recall = point.map_or_else(unknown, |point| Measured::Known(point.recall));
        search.blind_share = point.map_or_else(unknown, |point| Measured::Known(point.blind_share));
        Ok(())
    }

    async fn validate_on_scans(&self, _index: &IndexName, value: u32) -> Result<(f64, f64), HostError> {
        self.allow(HostFunction::ValidateOnScans)?;
        self.script.scans.get(&value).copied().ok_or_else(|| not_played(&format!("scans at {value}")))
    }
}

#[cfg(test)]
mod tests;
