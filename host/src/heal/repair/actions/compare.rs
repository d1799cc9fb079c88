use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use crate::components::{Comparison, HostError};
use crate::failpoint;
use crate::heal::repair::error::{gone, journal_error};
use crate::heal::repair::gate::{Figures, judge, judge_beside_invalid};
use crate::heal::repair::host::Work;
use crate::heal::repair::state::State;
use crate::measure;
use crate::model::IndexDefinition;
use crate::postgres::{Action, Step, Undo};

/// Measures old and new on the same probes at the parameter in force, and lets the gate judge. The verdict is
/// the host's; it goes into the journal.
pub async fn compare(
    work: Arc<Work>,
    mut state: OwnedMutexGuard<State>,
    candidate_id: u64,
) -> Result<Comparison, HostError> {
    failpoint::hit("before_compare");
    let build = candidate_step(candidate_id)?;
    let candidate_oid = state.candidates.get(&build).ok_or_else(no_candidate)?.oid;
    let original = work.index.as_ref().ok_or_else(no_candidate)?;
    let (session, old) = work.open(&original.name, "compare").await?;
    let new = work.definition(&session, candidate_oid).await?;
    if !(new.is_valid && new.is_ready && new.is_live) {
        return Err(HostError::GateFailed(format!("{} is not valid any more", new.name)));
    }
    work.measure(&mut state, &old).await?;
    let before = state.last.as_ref().map(|last| last.health.clone()).ok_or_else(gone)?;
    let after = work.measure_apart(&mut state, &new).await?.health;
    let latency_before_ms = latency(&work, &state, &old, before.search.parameter_in_force.get()).await;
    let latency_after_ms = latency(&work, &state, &new, after.search.parameter_in_force.get()).await;
    let figures = Figures::new(&after, latency_after_ms);
    let verdict = if old.is_valid {
        let before = Figures::new(&before, latency_before_ms);
        judge(&before, &figures, work.settings.recall_target, work.settings.max_blind_share)
    } else {
        judge_beside_invalid(&figures)
    };
    let action = Action::Compare { build, gate_passed: verdict.passed, reason: verdict.reason.clone() };
    let undo = Undo::Nothing { why: "a comparison changes nothing".to_owned() };
    work.journal
        .note_step(work.repair_id, &Step::new(action, undo).on_object(&new.name.name))
        .await
        .map_err(journal_error)?;
    if let Some(candidate) = state.candidates.get_mut(&build) {
        candidate.gate_passed = Some(verdict.passed);
    }
    failpoint::hit("after_compare");
    Ok(Comparison {
        before,
        after,
        latency_before_ms,
        latency_after_ms,
        gate_passed: verdict.passed,
        reason: verdict.reason,
    })
}

/// Recall and mean latency in ms of real scans with the parameter at `value`, other indexes hidden.
pub async fn scan_quality(
    work: &Work,
    state: &State,
    index: &IndexDefinition,
    value: u32,
) -> Result<(f64, f64), HostError> {
    let probes = state
        .probes
        .clone()
        .ok_or_else(|| HostError::Unknown("there are no probe queries: they need page access".to_owned()))?;
    measure::real_scan_quality(&work.connector, index, value, &probes, work.measure.k as usize)
        .await
        .map_err(|e| HostError::Unknown(format!("real scans of {} could not be measured: {e}", index.name)))
}

/// Mean latency in ms of real scans of this index alone.
async fn latency(work: &Work, state: &State, index: &IndexDefinition, value: Option<u32>) -> Option<f64> {
    let probes = state.probes.as_ref()?;
    match measure::scan_latency_ms(&work.connector, index, value?, probes, work.measure.k as usize).await {
        Ok(latency_ms) => Some(latency_ms),
        Err(error) => {
            tracing::info!(index = %index.name, %error, "the comparison goes without latency");
            None
        }
    }
}

/// Candidates are known by the step that built them.
pub fn candidate_step(candidate_id: u64) -> Result<i64, HostError> {
    i64::try_from(candidate_id).map_err(|_| no_candidate())
}

pub fn no_candidate() -> HostError {
    HostError::Denied("this repair built no such candidate, or it was swapped or discarded".to_owned())
}
