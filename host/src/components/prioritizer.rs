use std::sync::Arc;

use super::bindings::prioritizer::{PrioritizerPre, Ranked as WitRanked};
use super::conversions as to;
use super::lifecycle::Version;
use super::sandbox::Sandbox;
use super::state::CallState;
use super::{CallError, PolicyInfo, Ranked, RefusingHost};
use crate::model::{Diagnosis, Issue};

const MAX_PRIORITY: f64 = 100.0;
/// A reason is a sentence; more of it is cut.
const REASON_BYTES: usize = 500;

/// A loaded prioritizer. Whoever holds it keeps this version of it, whatever is loaded meanwhile.
pub struct PrioritizerPolicy {
    pub(super) info: PolicyInfo,
    pub(super) name: Arc<str>,
    pub(super) pre: PrioritizerPre<CallState>,
    pub(super) sandbox: Arc<Sandbox>,
    /// A prioritizer has nothing to ask of the host.
    pub(super) host: Arc<RefusingHost>,
    pub(super) version: Version,
}

macro_rules! call {
    ($policy:ident, |$guest:ident, $store:ident| $call:expr) => {{
        let budget = $policy.sandbox.limits.pure;
        let mut call = $policy.sandbox.arm(&$policy.name, budget, $policy.host.clone(), None).await?;
        let clock = call.clock();
        let $store = &mut call.store;
        let outcome = clock
            .run(async {
                let $guest = $policy.pre.instantiate_async(&mut *$store).await?;
                $call.await
            })
            .await;
        let outcome = call.settle(outcome);
        $policy.version.settled(&outcome);
        outcome
    }};
}

impl PrioritizerPolicy {
    pub fn info(&self) -> &PolicyInfo {
        &self.info
    }

    pub(super) async fn describe(&self) -> Result<String, CallError> {
        call!(self, |guest, store| guest.call_name(&mut *store))
    }

    /// 0 to 100; what lies outside is clamped.
    ///
    /// # Errors
    /// `InvalidResult` where the priority is not a number.
    pub async fn compute_priority(&self, issue: &Issue) -> Result<f64, CallError> {
        let wit = to::issue(issue);
        let priority: Result<f64, CallError> =
            call!(self, |guest, store| guest.call_compute_priority(&mut *store, &wit));
        bounded(priority?).map_err(|error| self.version.refused(error))
    }

    /// The agenda, the highest priority first; equals stay in the prioritizer's order.
    ///
    /// # Errors
    /// `InvalidResult` where a priority is not a number, or not every position appears exactly once.
    pub async fn prioritize(&self, diagnoses: &[Diagnosis]) -> Result<Vec<Ranked>, CallError> {
        let wit: Vec<_> = diagnoses.iter().map(to::diagnosis).collect();
        let answer: Result<Vec<WitRanked>, CallError> =
            call!(self, |guest, store| guest.call_prioritize(&mut *store, &wit));
        let ranked = answer?.into_iter().map(|item| (item.position, item.priority, item.reason)).collect();
        agenda(ranked, diagnoses.len()).map_err(|error| self.version.refused(error))
    }
}

fn bounded(priority: f64) -> Result<f64, CallError> {
    if priority.is_nan() {
        return Err(CallError::InvalidResult("a priority is not a number".to_owned()));
    }
    Ok(priority.clamp(0.0, MAX_PRIORITY))
}

fn agenda(items: Vec<(u32, f64, String)>, count: usize) -> Result<Vec<Ranked>, CallError> {
    let mut seen = vec![false; count];
    let mut ranked = Vec::with_capacity(count);
    for (position, priority, mut reason) in items {
        let position = position as usize;
        match seen.get_mut(position) {
            None => {
                return Err(CallError::InvalidResult(format!("position {position} of a list of {count}")));
            }
            Some(true) => return Err(CallError::InvalidResult(format!("position {position} appears twice"))),
            Some(seen) => *seen = true,
        }
        reason.truncate(reason.floor_char_boundary(REASON_BYTES));
        ranked.push(Ranked { position, priority: bounded(priority)?, reason });
    }
    if let Some(missing) = seen.iter().position(|seen| !seen) {
        return Err(CallError::InvalidResult(format!("position {missing} is missing")));
    }
    ranked.sort_by(|a, b| b.priority.total_cmp(&a.priority));
    Ok(ranked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(items: &[(u32, f64)], expected: Result<&[(usize, f64)], &str>) {
        let items: Vec<_> = items.iter().map(|&(position, priority)| (position, priority, String::new())).collect();
        let count = 3;
        match (agenda(items, count), expected) {
            (Ok(ranked), Ok(expected)) => {
                let found: Vec<_> = ranked.iter().map(|r| (r.position, r.priority)).collect();
                assert_eq!(found, expected);
            }
            (Err(CallError::InvalidResult(reason)), Err(expected)) => assert!(reason.contains(expected), "{reason}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn an_agenda_holds_every_position_once_within_bounds_and_in_order() {
        check(&[(2, 500.0), (0, 7.0), (1, f64::NEG_INFINITY)], Ok(&[(2, 100.0), (0, 7.0), (1, 0.0)]));
        check(&[(0, 1.0), (1, 2.0), (2, 2.0)], Ok(&[(1, 2.0), (2, 2.0), (0, 1.0)]));
        check(&[(0, 1.0), (1, 2.0)], Err("position 2 is missing"));
        check(&[(0, 1.0), (0, 2.0), (2, 2.0)], Err("twice"));
        check(&[(0, 1.0), (3, 2.0), (2, 2.0)], Err("position 3 of a list of 3"));
        check(&[(0, f64::NAN), (1, 2.0), (2, 2.0)], Err("not a number"));
    }
}
