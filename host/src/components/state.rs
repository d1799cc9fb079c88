use std::collections::BTreeMap;
use std::sync::Arc;

use wasmtime::ResourceLimiter;

use super::error::Violation;
use super::limits::Limits;
use super::meter::Meter;
use super::{Grant, PolicyHost};
use crate::model::IndexName;

/// What one call of a policy holds on the host's side.
pub(super) struct CallState {
    pub(super) policy: Arc<str>,
    /// The first digits of the policy's digest.
    pub(super) digest: Arc<str>,
    pub(super) host: Arc<dyn PolicyHost>,
    /// The index that the call is about; no other can be acted on.
    pub(super) index: Option<IndexName>,
    pub(super) grant: Arc<Grant>,
    /// The policy's settings in force.
    pub(super) settings: Arc<BTreeMap<String, String>>,
    pub(super) meter: Arc<Meter>,
    pub(super) limits: Arc<Limits>,
    pub(super) host_calls: u32,
    pub(super) log: LogBudget,
    pub(super) memory: MemoryBudget,
}

/// Memory of all linear memories and tables together.
pub(super) struct MemoryBudget {
    pub(super) used_bytes: usize,
    pub(super) limit_bytes: usize,
}

pub(super) struct LogBudget {
    pub(super) lines: u32,
    pub(super) bytes: usize,
    /// The policy's last error line: the words of a panic come before its trap.
    pub(super) last_error: Option<String>,
}

/// A reference in a table.
const TABLE_ELEMENT_BYTES: usize = 8;

impl MemoryBudget {
    /// A refused growth breaks the call off: most runtimes answer a failed growth with an anonymous abort, and
    /// the reason would be lost.
    fn grow(&mut self, by_bytes: usize) -> wasmtime::Result<bool> {
        let wanted = self.used_bytes.saturating_add(by_bytes);
        if wanted > self.limit_bytes {
            return Err(Violation::Memory { wanted }.into());
        }
        self.used_bytes = wanted;
        Ok(true)
    }
}

impl ResourceLimiter for MemoryBudget {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current).saturating_mul(TABLE_ELEMENT_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_are_summed() {
        let mut budget = MemoryBudget { used_bytes: 0, limit_bytes: 1_000 };
        assert!(budget.memory_growing(0, 600, None).unwrap());
        assert!(!budget.memory_growing(600, 700, Some(650)).unwrap());
        assert!(budget.table_growing(0, 50, None).unwrap());
        let error = budget.memory_growing(600, 601, None).unwrap_err();
        assert_eq!(error.downcast_ref::<Violation>(), Some(&Violation::Memory { wanted: 1_001 }));
    }
}
