use std::fmt;

use serde::Deserialize;

use crate::components::CallError;
use crate::components::played::RecordedCall;

/// How a policy's work on an issue ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Repaired, and validated.
    Success,
    /// can-repair said no.
    NotTaken,
    /// repair gave a result that says no success.
    Unsuccessful,
    /// validate said no; rollback ran.
    RolledBack,
    UnsupportedIssue,
    CannotImprove,
    ValidationFailed,
    /// The host refused or failed, and the policy gave up.
    Host,
    OutOfFuel,
    CpuTime,
    WallTime,
    Memory,
    TooManyHostCalls,
    TooMuchData,
    Trap,
    InvalidResult,
    /// The sandbox itself failed.
    Sandbox,
}

impl From<&CallError> for Ending {
    fn from(error: &CallError) -> Ending {
        match error {
            CallError::OutOfFuel(_) => Ending::OutOfFuel,
            CallError::CpuTime(_) => Ending::CpuTime,
            CallError::WallTime(_) => Ending::WallTime,
            CallError::Memory { .. } => Ending::Memory,
            CallError::TooManyHostCalls(_) => Ending::TooManyHostCalls,
            CallError::TooMuchData(_) => Ending::TooMuchData,
            CallError::Trap { .. } => Ending::Trap,
            CallError::InvalidResult(_) => Ending::InvalidResult,
            CallError::Sandbox(_) | CallError::NoSuchPolicy(_) => Ending::Sandbox,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ending::Success => "success",
            Ending::NotTaken => "not_taken",
            Ending::Unsuccessful => "unsuccessful",
            Ending::RolledBack => "rolled_back",
            Ending::UnsupportedIssue => "unsupported_issue",
            Ending::CannotImprove => "cannot_improve",
            Ending::ValidationFailed => "validation_failed",
            Ending::Host => "host",
            Ending::OutOfFuel => "out_of_fuel",
            Ending::CpuTime => "cpu_time",
            Ending::WallTime => "wall_time",
            Ending::Memory => "memory",
            Ending::TooManyHostCalls => "too_many_host_calls",
            Ending::TooMuchData => "too_much_data",
            Ending::Trap => "trap",
            Ending::InvalidResult => "invalid_result",
            Ending::Sandbox => "sandbox",
        })
    }
}

/// What a case should come to. What is absent may be anything; but a call that a limit or a trap ends fails a case that
/// does not expect just that.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expectations {
    pub can_repair: Option<bool>,
    pub outcome: Option<Ending>,
    pub repair_type: Option<String>,
    /// A part of the words with which it ended.
    pub reason: Option<String>,
    /// The calls of `repair`, in order, without their answers. An entry may be a function's name without arguments;
    /// `...` stands for any number of calls.
    pub calls: Option<Vec<String>>,
    /// Least and most priority, for a prioritizer.
    pub priority: Option<[f64; 2]>,
}

impl Expectations {
    /// The expectations that only a strategy, or only a prioritizer, can meet.
    pub fn foreign_to(&self, is_strategy: bool) -> Option<&'static str> {
        if is_strategy {
            return self.priority.map(|_| "priority");
        }
        [
            ("can_repair", self.can_repair.is_some()),
            ("outcome", self.outcome.is_some()),
            ("repair_type", self.repair_type.is_some()),
            ("calls", self.calls.is_some()),
        ]
        .into_iter()
        .find_map(|(name, is_there)| is_there.then_some(name))
    }
}

/// Whether the calls are those expected.
pub fn calls_fit(expected: &[String], calls: &[RecordedCall]) -> bool {
    let Some((first, rest)) = expected.split_first() else { return calls.is_empty() };
    if first == "..." {
        return (0..=calls.len()).any(|skipped| calls_fit(rest, &calls[skipped..]));
    }
    calls.split_first().is_some_and(|(call, others)| call_fits(first, &call.call) && calls_fit(rest, others))
}

fn call_fits(expected: &str, call: &str) -> bool {
    call == expected || call.strip_prefix(expected).is_some_and(|rest| !expected.contains(' ') && rest.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_fit_by_name_with_arguments_and_around_gaps() {
        let check = |expected: &[&str], calls: &[&str], fits: bool| {
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            let call = |call: &&str| RecordedCall { call: call.to_string(), answer: String::new() };
            let calls: Vec<_> = calls.iter().map(call).collect();
            assert_eq!(calls_fit(&expected, &calls), fits, "{expected:?} {calls:?}");
        };
        let calls = ["health", "build_beside m=24", "compare 1", "swap 1"];
        check(&["health", "build_beside", "compare", "swap"], &calls, true);
        check(&["health", "build_beside m=24", "compare 1", "swap 1"], &calls, true);
        check(&["health", "build_beside m=32", "compare", "swap"], &calls, false);
        check(&["...", "swap"], &calls, true);
        check(&["health", "..."], &calls, true);
        check(&["...", "discard", "..."], &calls, false);
        check(&["health"], &calls, false);
        check(&["build"], &["build_beside"], false);
        check(&[], &[], true);
        check(&["..."], &[], true);
    }
}
