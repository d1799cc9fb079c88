use super::IndexFindings;
use crate::model::{IndexDefinition, IndexName};

/// Who wants to see what the loop sees, as soon as it does. Called from several tasks; must not take time.
pub trait Witness: Send + Sync {
    /// The vector indexes that are there now, without those that are kept for a rollback.
    fn listed(&self, indexes: &[IndexDefinition]);

    fn measured(&self, findings: &IndexFindings);

    /// It could not be measured; it is neither healthy nor ill.
    fn failed(&self, index: &IndexDefinition, reason: &str);

    /// A repair has worked on this index and ended, however.
    fn repaired(&self, index: &IndexName);
}

/// Sees nothing.
pub struct Unseen;

impl Witness for Unseen {
    fn listed(&self, _indexes: &[IndexDefinition]) {}
    fn measured(&self, _findings: &IndexFindings) {}
    fn failed(&self, _index: &IndexDefinition, _reason: &str) {}
    fn repaired(&self, _index: &IndexName) {}
}
