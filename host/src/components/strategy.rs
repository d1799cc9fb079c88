use std::sync::Arc;
use std::time::Instant;

use super::contract::StrategyGuest;
use super::policy_core::{PolicyCore, call};
use super::setting::SettingDeclaration;
use super::{CallError, Grant, Limits, PolicyHost, PolicyInfo, RefusingHost, RepairContext, RepairFailure};
use crate::model::{Issue, RepairResult};

/// A loaded strategy. Whoever holds it keeps this version of it, whatever is loaded meanwhile.
pub struct StrategyPolicy {
    pub(super) core: PolicyCore,
    pub(super) guest: Arc<dyn StrategyGuest>,
}

impl StrategyPolicy {
    pub fn info(&self) -> &PolicyInfo {
        &self.core.info
    }

    pub fn limits(&self) -> &Limits {
        &self.core.limits
    }

    /// What it may do through the host.
    pub fn grant(&self) -> &Grant {
        &self.core.grant
    }

    pub(super) async fn describe(&self) -> Result<(String, Vec<SettingDeclaration>), CallError> {
        let name = call!(&self.core, pure, nobody(), None, |store| self.guest.name(store))?;
        let settings = call!(&self.core, pure, nobody(), None, |store| self.guest.settings(store))?;
        Ok((name, settings))
    }

    /// Whether the strategy knows this kind of issue; it cannot look at anything for that.
    pub async fn can_repair(&self, issue: &Issue) -> Result<bool, CallError> {
        call!(&self.core, pure, nobody(), Some(issue), |store| self.guest.can_repair(store, issue))
    }

    /// What the strategy would do and expects of it.
    pub async fn propose(
        &self,
        issue: &Issue,
        context: &RepairContext,
        host: Arc<dyn PolicyHost>,
    ) -> Result<String, CallError> {
        let context = self.with_settings(context);
        call!(&self.core, effect, host, Some(issue), |store| self.guest.propose(store, issue, &context))
    }

    /// Repairs through the host. Where the strategy leaves the duration open, it is filled in.
    pub async fn repair(
        &self,
        issue: &Issue,
        context: &RepairContext,
        host: Arc<dyn PolicyHost>,
    ) -> Result<Result<RepairResult, RepairFailure>, CallError> {
        let began = Instant::now();
        let context = self.with_settings(context);
        let answer: Result<_, CallError> =
            call!(&self.core, effect, host, Some(issue), |store| self.guest.repair(store, issue, &context));
        let mut result = match answer? {
            Ok(result) => result,
            Err(failure) => return Ok(Err(failure)),
        };
        if result.repair_type.is_empty() {
            let error = CallError::InvalidResult("the repair type is empty".to_owned());
            return Err(self.core.version.refused(error));
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
        call!(&self.core, effect, host, Some(issue), |store| self.guest.validate(store, issue, result))
    }

    /// Lets the strategy take back what the host's journal does not hold.
    pub async fn rollback(
        &self,
        issue: &Issue,
        result: &RepairResult,
        host: Arc<dyn PolicyHost>,
    ) -> Result<Result<(), RepairFailure>, CallError> {
        call!(&self.core, effect, host, Some(issue), |store| self.guest.rollback(store, result))
    }

    /// In milliseconds.
    pub async fn estimated_duration_ms(&self, issue: &Issue, host: Arc<dyn PolicyHost>) -> Result<u64, CallError> {
        call!(&self.core, pure, host, Some(issue), |store| self.guest.estimated_duration(store, issue))
    }

    fn with_settings(&self, context: &RepairContext) -> RepairContext {
        let mut settings = (*self.core.settings).clone();
        settings.extend(context.settings.iter().cloned());
        RepairContext { settings: settings.into_iter().collect(), ..context.clone() }
    }
}

/// The host of calls that have nothing to ask.
fn nobody() -> Arc<dyn PolicyHost> {
    Arc::new(RefusingHost::default())
}
