use crate::host::actions::{self, BuildOptions, Candidate, Comparison, Reinsertion, SettingScope};
use crate::{AccessMethod, HostError, IndexHealth, IndexName, Issue, RepairError, host, index_of};

/// The host's functions on the index of one issue. A strategy whose logic takes `&dyn IndexTools` can be tested
/// natively, with an implementation that plays an index.
pub trait IndexTools {
    fn method(&self) -> AccessMethod;
    fn health(&self) -> Result<IndexHealth, HostError>;
    fn unfindable_rows(&self, limit: u32) -> Result<Vec<(u32, u16)>, HostError>;
    fn reinsert_rows(&self, rows: &[(u32, u16)]) -> Result<Reinsertion, HostError>;
    fn vacuum(&self) -> Result<u64, HostError>;
    fn analyze(&self) -> Result<(), HostError>;
    fn build_beside(&self, options: BuildOptions) -> Result<Candidate, HostError>;
    fn compare(&self, candidate: &Candidate) -> Result<Comparison, HostError>;
    fn swap(&self, candidate: &Candidate) -> Result<(), HostError>;
    fn discard(&self, candidate: &Candidate) -> Result<(), HostError>;
    fn reindex_concurrently(&self) -> Result<(), HostError>;
    fn set_parameter(&self, name: &str, value: &str, scope: SettingScope, role: Option<&str>) -> Result<(), HostError>;
    fn validate_on_scans(&self, value: u32) -> Result<(f64, f64), HostError>;
}

/// The real ones, within the sandbox.
pub struct HostTools<'a> {
    index: &'a IndexName,
}

impl<'a> HostTools<'a> {
    pub fn of(issue: &'a Issue) -> Result<Self, RepairError> {
        Ok(HostTools { index: index_of(issue)? })
    }
}

impl IndexTools for HostTools<'_> {
    fn method(&self) -> AccessMethod {
        self.index.method
    }
    fn health(&self) -> Result<IndexHealth, HostError> {
        host::measure::health(self.index)
    }
    fn unfindable_rows(&self, limit: u32) -> Result<Vec<(u32, u16)>, HostError> {
        host::measure::unfindable_rows(self.index, limit)
    }
    fn reinsert_rows(&self, rows: &[(u32, u16)]) -> Result<Reinsertion, HostError> {
        actions::reinsert_rows(self.index, rows)
    }
    fn vacuum(&self) -> Result<u64, HostError> {
        actions::vacuum(self.index)
    }
    fn analyze(&self) -> Result<(), HostError> {
        actions::analyze(self.index)
    }
    fn build_beside(&self, options: BuildOptions) -> Result<Candidate, HostError> {
        actions::build_beside(self.index, options)
    }
    fn compare(&self, candidate: &Candidate) -> Result<Comparison, HostError> {
        actions::compare(candidate)
    }
    fn swap(&self, candidate: &Candidate) -> Result<(), HostError> {
        actions::swap(candidate)
    }
    fn discard(&self, candidate: &Candidate) -> Result<(), HostError> {
        actions::discard(candidate)
    }
    fn reindex_concurrently(&self) -> Result<(), HostError> {
        actions::reindex_concurrently(self.index)
    }
    fn set_parameter(&self, name: &str, value: &str, scope: SettingScope, role: Option<&str>) -> Result<(), HostError> {
        actions::set_parameter(name, value, scope, role)
    }
    fn validate_on_scans(&self, value: u32) -> Result<(f64, f64), HostError> {
        actions::validate_on_scans(self.index, value)
    }
}
