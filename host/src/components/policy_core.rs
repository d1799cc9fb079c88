use std::collections::BTreeMap;
use std::sync::Arc;

use super::lifecycle::Version;
use super::sandbox::Sandbox;
use super::{Grant, Limits, PolicyInfo};

/// What every loaded policy has, whatever its kind.
pub(super) struct PolicyCore {
    pub(super) info: PolicyInfo,
    /// As the log knows it.
    pub(super) name: Arc<str>,
    /// The first digits of its digest, for the log.
    pub(super) digest: Arc<str>,
    pub(super) version: Version,
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) limits: Arc<Limits>,
    pub(super) grant: Arc<Grant>,
    /// The settings in force.
    pub(super) settings: Arc<BTreeMap<String, String>>,
}

/// One call in a fresh instance: armed with the policy's limits, timed, and its error named. `$call` is a future of
/// the guest in the store.
macro_rules! call {
    ($core:expr, $budget:ident, $host:expr, $issue:expr, |$store:ident| $call:expr) => {{
        let core: &$crate::components::policy_core::PolicyCore = $core;
        let issue: Option<&$crate::model::Issue> = $issue;
        let index = issue.and_then(|issue| issue.index.clone());
        let mut call = core.sandbox.arm(core, core.limits.$budget, $host, index).await?;
        let clock = call.clock();
        let $store = &mut call.store;
        let outcome = clock.run($call).await;
        let outcome = call.settle(outcome);
        core.version.settled(&outcome);
        outcome
    }};
}

pub(super) use call;
