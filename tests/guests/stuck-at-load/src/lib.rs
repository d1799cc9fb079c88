//! Never tells its name: what loads it must not wait for ever.

use pgheal_guest_sdk::*;

struct Stuck;

impl Strategy for Stuck {
    fn name() -> String {
        let mut turns = 0u64;
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }

    fn can_repair(_issue: &Issue) -> bool {
        false
    }

    fn repair(_issue: &Issue, _context: &RepairContext) -> Result<RepairResult, RepairError> {
        Err(RepairError::UnsupportedIssue)
    }

    fn validate(_issue: &Issue, _result: &RepairResult) -> bool {
        false
    }

    fn estimated_duration(_issue: &Issue) -> u64 {
        0
    }
}

export_strategy!(Stuck);
