use std::sync::Arc;
use std::time::Instant;

use super::bindings::strategy::StrategyPre;
use super::conversions as to;
use super::lifecycle::Version;
use super::sandbox::Sandbox;
use super::state::CallState;
use super::{CallError, PolicyHost, PolicyInfo, RefusingHost, RepairContext, RepairFailure};
use crate::model::{Issue, RepairResult};

/// A loaded strategy. Whoever holds it keeps this version of it, whatever is loaded meanwhile.
pub struct StrategyPolicy {
    pub(super) info: PolicyInfo,
    pub(super) name: Arc<str>,
    pub(super) pre: StrategyPre<CallState>,
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) version: Version,
}

/// One call in a fresh instance, with the kind of budget that it gets.
macro_rules! call {
    ($policy:ident, $budget:ident, $host:expr, $issue:expr, |$guest:ident, $store:ident| $call:expr) => {{
        let issue: Option<&Issue> = $issue;
        let index = issue.and_then(|issue| issue.index.clone());
        let budget = $policy.sandbox.limits.$budget;
        let mut call = $policy.sandbox.arm(&$policy.name, budget, $host, index).await?;
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

impl StrategyPolicy {
    pub fn info(&self) -> &PolicyInfo {
        &self.info
    }

    pub(super) async fn describe(&self) -> Result<String, CallError> {
        call!(self, pure, nobody(), None, |guest, store| guest.call_name(&mut *store))
    }

    /// Whether the strategy knows this kind of issue; it cannot look at anything for that.
    pub async fn can_repair(&self, issue: &Issue) -> Result<bool, CallError> {
        let wit = to::issue(issue);
        call!(self, pure, nobody(), Some(issue), |guest, store| guest.call_can_repair(&mut *store, &wit))
    }

    /// What the strategy would do and expects of it.
    pub async fn propose(
        &self,
        issue: &Issue,
        context: &RepairContext,
        host: Arc<dyn PolicyHost>,
    ) -> Result<String, CallError> {
        let (wit, context) = (to::issue(issue), to::repair_context(context));
        call!(self, effect, host, Some(issue), |guest, store| guest.call_propose(&mut *store, &wit, &context))
    }

    /// Repairs through the host. Where the strategy leaves the duration open, it is filled in.
    pub async fn repair(
        &self,
        issue: &Issue,
        context: &RepairContext,
        host: Arc<dyn PolicyHost>,
    ) -> Result<Result<RepairResult, RepairFailure>, CallError> {
        let began = Instant::now();
        let (wit, context) = (to::issue(issue), to::repair_context(context));
        let answer: Result<_, CallError> =
            call!(self, effect, host, Some(issue), |guest, store| guest.call_repair(&mut *store, &wit, &context));
        let mut result = match answer? {
            Ok(result) => to::repair_result_from_guest(result),
            Err(error) => return Ok(Err(to::repair_failure(error))),
        };
        if result.repair_type.is_empty() {
            let error = CallError::InvalidResult("the repair type is empty".to_owned());
            return Err(self.version.refused(error));
        }
        if result.duration_ms == 0 {
            result.duration_ms = began.elapsed().as_millis() as u64;
        }
        Ok(Ok(result))
    }

    /// Whether the issue is gone, in the strategy's own judgement.
    pub async fn validate(
        &self,
        issue: &Issue,
        result: &RepairResult,
        host: Arc<dyn PolicyHost>,
    ) -> Result<bool, CallError> {
        let (wit, result) = (to::issue(issue), to::repair_result(result));
        call!(self, effect, host, Some(issue), |guest, store| guest.call_validate(&mut *store, &wit, &result))
    }

    /// Lets the strategy take back what the host's journal does not hold.
    pub async fn rollback(
        &self,
        issue: &Issue,
        result: &RepairResult,
        host: Arc<dyn PolicyHost>,
    ) -> Result<Result<(), RepairFailure>, CallError> {
        let result = to::repair_result(result);
        let answer: Result<_, CallError> =
            call!(self, effect, host, Some(issue), |guest, store| guest.call_rollback(&mut *store, &result));
        Ok(answer?.map_err(to::repair_failure))
    }

    /// In milliseconds.
    pub async fn estimated_duration_ms(&self, issue: &Issue, host: Arc<dyn PolicyHost>) -> Result<u64, CallError> {
        let wit = to::issue(issue);
        call!(self, pure, host, Some(issue), |guest, store| guest.call_estimated_duration(&mut *store, &wit))
    }
}

/// The host of calls that have nothing to ask.
fn nobody() -> Arc<dyn PolicyHost> {
    Arc::new(RefusingHost::default())
}
