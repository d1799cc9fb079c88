//! Makes the index worse and says that it is healed: the host's gate has to see through it.

use pgheal_guest_sdk::host::actions::{self, BuildOptions};
use pgheal_guest_sdk::*;

struct BadRebuild;

impl Strategy for BadRebuild {
    fn name() -> String {
        "bad-rebuild".to_owned()
    }

    fn can_repair(issue: &Issue) -> bool {
        matches!(issue.kind, IssueKind::LowRecall(_) | IssueKind::BlindSpots(_))
    }

    fn repair(issue: &Issue, _context: &RepairContext) -> Result<RepairResult, RepairError> {
        let index = index_of(issue)?;
        let options = BuildOptions { m: Some(2), ef_construction: Some(4), lists: None };
        let candidate = actions::build_beside(index, options)?;
        let comparison = actions::compare(&candidate)?;
        // Asked whatever the comparison says.
        if let Err(refusal) = actions::swap(&candidate) {
            let text = format!("{}: {}", host::explain(&refusal), comparison.reason);
            return Err(RepairError::ValidationFailed(text));
        }
        Ok(RepairResult {
            success: true,
            repair_type: "index_rebuild".to_owned(),
            duration_ms: candidate.build_ms,
            backup: None,
            details: Vec::new(),
        })
    }

    fn validate(_issue: &Issue, _result: &RepairResult) -> bool {
        true
    }

    fn estimated_duration(_issue: &Issue) -> u64 {
        10_000
    }
}

export_strategy!(BadRebuild);
