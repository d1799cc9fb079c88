use std::fmt;

use crate::model::Diagnosis;

/// How a repair is to be done, decided by the operator's configuration; the WIT's `repair-context`.
#[derive(Clone, Debug, PartialEq)]
pub struct RepairContext {
    pub diagnosis: Diagnosis,
    pub recall_target: f64,
    /// Share of the queries that may get (nearly) nothing right, 0 to 1.
    pub max_blind_share: f64,
    pub dry_run: bool,
    /// Whether repairs that cannot be undone are allowed.
    pub consent_irreversible: bool,
    /// Why rows must not be re-inserted, where they must not.
    pub reinsertion_refused: Option<String>,
    /// Why the index cannot be rebuilt beside the old one, where it cannot.
    pub rebuild_refused: Option<String>,
    /// Why the index's search parameter cannot be set for the database, where it cannot.
    pub parameter_refused: Option<String>,
    /// The policy's settings in force, by name; filled in with the call.
    pub settings: Vec<(String, String)>,
}

/// Why a strategy did not repair; the WIT's `repair-error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepairFailure {
    UnsupportedIssue,
    /// No method of the strategy can improve the index, with what was measured.
    CannotImprove(String),
    ValidationFailed(String),
    /// The host refused or failed, in the host's words.
    Host(String),
}

impl fmt::Display for RepairFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RepairFailure::UnsupportedIssue => f.write_str("the strategy does not repair this kind of issue"),
            RepairFailure::CannotImprove(text) => write!(f, "cannot improve: {text}"),
            RepairFailure::ValidationFailed(text) => write!(f, "validation failed: {text}"),
            RepairFailure::Host(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for RepairFailure {}

/// An item of the agenda as a prioritizer ranked it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// Position in the list of diagnoses that was given.
    pub position: usize,
    /// 0 to 100.
    pub priority: f64,
    pub reason: String,
}
