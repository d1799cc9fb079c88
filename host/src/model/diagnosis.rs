use serde::{Deserialize, Serialize};

use super::{Evidence, Issue};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootCause {
    Inconclusive,
    /// The greedy descent never enters some regions, though the graph reaches them.
    GraphBlindSpots,
    /// Updates and deletes wore the graph out.
    Churn,
    /// A larger ef_search or probes would reach the target.
    SearchEffortTooLow,
    /// m, ef_construction or lists are too small for this data.
    CapacityTooSmall,
    /// The lists were trained on other rows than the table holds now.
    StaleCentroids,
    SkewedLists,
    Bloat,
    InterruptedBuild,
    SoftwareBug,
    WorkloadChange,
}

impl RootCause {
    pub fn name(self) -> &'static str {
        match self {
            RootCause::Inconclusive => "inconclusive",
            RootCause::GraphBlindSpots => "graph_blind_spots",
            RootCause::Churn => "churn",
            RootCause::SearchEffortTooLow => "search_effort_too_low",
            RootCause::CapacityTooSmall => "capacity_too_small",
            RootCause::StaleCentroids => "stale_centroids",
            RootCause::SkewedLists => "skewed_lists",
            RootCause::Bloat => "bloat",
            RootCause::InterruptedBuild => "interrupted_build",
            RootCause::SoftwareBug => "software_bug",
            RootCause::WorkloadChange => "workload_change",
        }
    }
}

/// Why an issue is there, how sure that is, and what it costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    pub issue: Issue,
    pub cause: RootCause,
    /// 0 to 1.
    pub confidence: f64,
    pub explanation: String,
    pub evidence: Vec<Evidence>,
    /// What users notice of it.
    pub impact: String,
}
