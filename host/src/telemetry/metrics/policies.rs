//! The policies: which serve, and how their calls end.

use super::text::{
    Exposition,
    Kind::{Counter, Gauge},
};
use crate::components::{PoliciesStatus, PolicyKind, PolicyStatus};

const STATES: [&str; 5] = ["active", "restored", "quarantined", "retired", "disabled"];
/// As much of a version's digest as the log tells.
const DIGEST_DIGITS: usize = 12;

pub fn write(page: &mut Exposition, status: &PoliciesStatus) {
    let policies = &status.policies;
    let mut family = page.family("pgheal_policy_info", Gauge, "The version that serves, by its digest; always 1.");
    for policy in policies {
        if let Some(digest) = &policy.digest {
            let digest = digest.get(..DIGEST_DIGITS).unwrap_or(digest);
            family.sample(&[&labels(policy)[..], &[("digest", digest)]].concat(), 1.0);
        }
    }
    let mut family = page.family(
        "pgheal_policy_state",
        Gauge,
        "Whether the policy is in this state: active, restored, quarantined, retired or disabled.",
    );
    for policy in policies {
        family.states(&labels(policy), "state", &STATES, &policy.state.to_string());
    }
    let mut family =
        page.family("pgheal_policy_calls_total", Counter, "Calls since the version serves that serves now.");
    for policy in policies {
        family.sample(&labels(policy), policy.calls as f64);
    }
    let mut family = page.family(
        "pgheal_policy_failed_calls_total",
        Counter,
        "Calls that did not end well, by outcome, since the version serves that serves now.",
    );
    for policy in policies {
        for (outcome, count) in &policy.failed_calls {
            family.sample(&[&labels(policy)[..], &[("outcome", outcome)]].concat(), *count as f64);
        }
    }
    let mut family = page.family(
        "pgheal_policy_strikes",
        Gauge,
        "Traps, exceeded limits and invalid results of the last 24 hours; too many take the version out of service.",
    );
    for policy in policies {
        family.sample(&labels(policy), f64::from(policy.strikes));
    }
    let failures = status.failures.len() as u64 + status.failures_untold;
    page.family("pgheal_policy_load_failures", Gauge, "Files of the policy directory that do not serve.")
        .sample(&[], failures as f64);
}

fn labels(policy: &PolicyStatus) -> [(&'static str, &str); 2] {
    let kind = match policy.kind {
        PolicyKind::Strategy => "strategy",
        PolicyKind::Prioritizer => "prioritizer",
    };
    [("policy", &policy.name), ("kind", kind)]
}
