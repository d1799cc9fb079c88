use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::Span;

use super::lifecycle::Version;
use super::sandbox::Sandbox;
use super::{CallError, Grant, Limits, PolicyInfo};
use crate::model::Issue;

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

/// One call in a fresh instance: armed with the policy's limits, timed, and its error named. `$this.$guest.$function(...)`
/// is a future of the guest in the store; what is logged meanwhile has the call as its span.
macro_rules! call {
    ($core:expr, $budget:ident, $host:expr, $issue:expr,
     |$store:ident| $this:ident . $guest:ident . $function:ident ( $($argument:expr),* $(,)? )) => {{
        let core: &$crate::components::policy_core::PolicyCore = $core;
        let issue: Option<&$crate::model::Issue> = $issue;
        let span = core.call_span(stringify!($function), issue);
        let in_span = span.clone();
        let call = async {
            let index = issue.and_then(|issue| issue.index.clone());
            let mut call = core.sandbox.arm(core, core.limits.$budget, $host, index).await?;
            let clock = call.clock();
            let $store = &mut call.store;
            let outcome = clock.run($this.$guest.$function($($argument),*)).await;
            let outcome = call.settle(outcome);
            core.version.settled(&outcome);
            outcome
        };
        let outcome = tracing::Instrument::instrument(call, in_span).await;
        $crate::components::policy_core::PolicyCore::tell_outcome(&span, &outcome);
        outcome
    }};
}

impl PolicyCore {
    pub(super) fn call_span(&self, function: &'static str, issue: Option<&Issue>) -> Span {
        tracing::info_span!(
            "guest_call",
            policy = &*self.name,
            digest = &*self.digest,
            function,
            issue = issue.map(|issue| issue.id.as_str()),
            outcome = tracing::field::Empty
        )
    }

    pub(super) fn tell_outcome<R>(span: &Span, outcome: &Result<R, CallError>) {
        span.record("outcome", outcome.as_ref().err().map_or("ok", CallError::outcome));
    }
}

pub(super) use call;
