use crate::bindings::prioritizer;
use crate::{Diagnosis, IndexName, Issue, RepairContext, RepairError, RepairResult};

pub use prioritizer::Ranked;

/// How one or more kinds of issue are repaired.
pub trait Strategy {
    /// Unique among the policies of a directory; appears in the history.
    fn name() -> String;

    /// Whether this strategy knows the kind of issue. Asked often: nothing is measured here.
    fn can_repair(issue: &Issue) -> bool;

    /// What `repair` would do and what that should bring, in a sentence. Nothing may be changed.
    fn propose(_issue: &Issue, _context: &RepairContext) -> String {
        format!("{} would try to repair it", Self::name())
    }

    /// Repairs. Every change goes through [`crate::host`], which can undo it.
    fn repair(issue: &Issue, context: &RepairContext) -> Result<RepairResult, RepairError>;

    /// Whether the issue is gone after a repair that said success. False makes the host undo the repair.
    fn validate(issue: &Issue, result: &RepairResult) -> bool;

    /// Takes back what the host cannot know of. The host undoes its own actions by itself, from its journal.
    fn rollback(_result: &RepairResult) -> Result<(), RepairError> {
        Ok(())
    }

    /// In milliseconds.
    fn estimated_duration(issue: &Issue) -> u64;
}

/// What is repaired first.
pub trait Prioritizer {
    fn name() -> String;

    /// 0 (can wait for ever) to 100 (now).
    fn compute_priority(issue: &Issue) -> f64;

    /// Why the issue has this priority, for the reader of the agenda.
    fn reason(issue: &Issue) -> String;

    /// Every position of `diagnoses` once, the most urgent first. Equal priorities are ordered by severity, then
    /// by the sureness of the diagnosis, then by the issue's id, so that the order is the same every time.
    fn prioritize(diagnoses: &[Diagnosis]) -> Vec<Ranked> {
        let mut ranked: Vec<(usize, f64)> =
            diagnoses.iter().enumerate().map(|(i, d)| (i, Self::compute_priority(&d.issue))).collect();
        ranked.sort_by(|a, b| {
            let (left, right) = (&diagnoses[a.0], &diagnoses[b.0]);
            b.1.total_cmp(&a.1)
                .then_with(|| (right.issue.severity as u8).cmp(&(left.issue.severity as u8)))
                .then_with(|| right.confidence.total_cmp(&left.confidence))
                .then_with(|| left.issue.id.cmp(&right.issue.id))
                .then_with(|| a.0.cmp(&b.0))
        });
        ranked
            .into_iter()
            .map(|(position, priority)| Ranked {
                position: position as u32,
                priority,
                reason: Self::reason(&diagnoses[position].issue),
            })
            .collect()
    }
}

/// The issue's index, or the error of a strategy that needs one.
pub fn index_of(issue: &Issue) -> Result<&IndexName, RepairError> {
    issue.index.as_ref().ok_or(RepairError::UnsupportedIssue)
}

/// The host's own answer among the settings: why it would refuse to set the search parameter for the database.
pub const PARAMETER_REFUSED: &str = "host.parameter_refused";

/// One of the operator's settings for this policy.
pub fn setting<'a>(context: &'a RepairContext, name: &str) -> Option<&'a str> {
    context.settings.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}
