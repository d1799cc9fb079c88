use std::sync::Arc;

use super::contract::PrioritizerGuest;
use super::policy_core::{PolicyCore, call};
use super::setting::SettingDeclaration;
use super::{CallError, PolicyInfo, Ranked, RefusingHost};
use crate::model::{Diagnosis, Issue};

const MAX_PRIORITY: f64 = 100.0;
/// A reason is a sentence; more of it is cut.
const REASON_BYTES: usize = 500;

/// A loaded prioritizer. Whoever holds it keeps this version of it, whatever is loaded meanwhile.
pub struct PrioritizerPolicy {
    pub(super) core: PolicyCore,
    pub(super) guest: Arc<dyn PrioritizerGuest>,
    /// A prioritizer has nothing to ask of the host.
    pub(super) host: Arc<RefusingHost>,
}

impl PrioritizerPolicy {
    pub fn info(&self) -> &PolicyInfo {
        &self.core.info
    }

    pub(super) async fn describe(&self) -> Result<(String, Vec<SettingDeclaration>), CallError> {
        let name = call!(&self.core, pure, self.host.clone(), None, |store| self.guest.name(store))?;
        let settings = call!(&self.core, pure, self.host.clone(), None, |store| self.guest.settings(store))?;
        Ok((name, settings))
    }

    /// 0 to 100; what lies outside is clamped.
    ///
    /// # Errors
    /// `InvalidResult` where the priority is not a number.
    pub async fn compute_priority(&self, issue: &Issue) -> Result<f64, CallError> {
        let priority: Result<f64, CallError> =
            call!(&self.core, pure, self.host.clone(), None, |store| self.guest.compute_priority(store, issue));
        bounded(priority?).map_err(|error| self.core.version.refused(error))
    }

    /// The agenda, the highest priority first; equals stay in the prioritizer's order.
    ///
    /// # Errors
    /// `InvalidResult` where a priority is not a number, or not every position appears exactly once.
    pub async fn prioritize(&self, diagnoses: &[Diagnosis]) -> Result<Vec<Ranked>, CallError> {
        let ranked: Result<_, CallError> =
            call!(&self.core, pure, self.host.clone(), None, |store| self.guest.prioritize(store, diagnoses));
        agenda(ranked?, diagnoses.len()).map_err(|error| self.core.version.refused(error))
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
