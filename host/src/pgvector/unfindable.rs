use crate::model::Tid;

/// Elements that a search for their own vector does not find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfindableReport {
    /// Elements (HNSW) or entries (IVFFlat) that were not found.
    pub elements: u64,
    /// All their heap TIDs, ascending.
    pub tids: Vec<Tid>,
    /// Elements that were searched for.
    pub of_sampled: u64,
}
