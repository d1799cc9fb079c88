use serde::{Deserialize, Serialize};

use super::IndexName;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

/// One fact that makes the issue believable, as shown to a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub name: String,
    pub value: String,
}

impl Evidence {
    pub fn new(name: &str, value: impl ToString) -> Self {
        Evidence { name: name.to_owned(), value: value.to_string() }
    }
}

/// A problem that a detector found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Issue {
    /// Stable while the problem is the same: its kind and a digest of what it concerns.
    pub id: String,
    pub severity: Severity,
    pub kind: IssueKind,
    pub index: Option<IndexName>,
    pub evidence: Vec<Evidence>,
}

/// Every kind of issue of the specification. Units and ranges: `wit/policy.wit`, interface `types`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueKind {
    Anomaly(Anomaly),
    PerformanceDegradation(PerformanceDegradation),
    Fragmentation { level: f64, elements_deleted: u64 },
    OrphanNodes { count: u64, elements_live: u64 },
    PoorConnectivity { score: f64 },
    UnbalancedClusters { balance: f64, empty_clusters: u32, lists: u32 },
    StaleTraining { hours: f64 },
    LowRecall { recall: f64, p5: f64, target: f64, k: u32, parameter_in_force: u32 },
    BlindSpots { blind_share: f64, unfindable: u64, unfindable_of: u64 },
    InvalidIndex { reason: String },
    LeftoverIndex { reason: String, size_bytes: u64 },
    PlannerIgnoresIndex { reason: String },
    LongVacuum { dead_rows: u64, estimated_ms: Option<u64> },
    KnownBug { pgvector_version: String, advice: String },
    LearningDrift(LearningDrift),
    Bottleneck(Bottleneck),
}

impl IssueKind {
    /// The kind's name in ids, reports and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            IssueKind::Anomaly(_) => "anomaly",
            IssueKind::PerformanceDegradation(_) => "performance_degradation",
            IssueKind::Fragmentation { .. } => "fragmentation",
            IssueKind::OrphanNodes { .. } => "orphan_nodes",
            IssueKind::PoorConnectivity { .. } => "poor_connectivity",
            IssueKind::UnbalancedClusters { .. } => "unbalanced_clusters",
            IssueKind::StaleTraining { .. } => "stale_training",
            IssueKind::LowRecall { .. } => "low_recall",
            IssueKind::BlindSpots { .. } => "blind_spots",
            IssueKind::InvalidIndex { .. } => "invalid_index",
            IssueKind::LeftoverIndex { .. } => "leftover_index",
            IssueKind::PlannerIgnoresIndex { .. } => "planner_ignores_index",
            IssueKind::LongVacuum { .. } => "long_vacuum",
            IssueKind::KnownBug { .. } => "known_bug",
            IssueKind::LearningDrift(_) => "learning_drift",
            IssueKind::Bottleneck(_) => "bottleneck",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    pub kind: AnomalyType,
    pub observed: f64,
    pub expected: f64,
    /// Standard deviations from the baseline, where the algorithm gives them.
    pub deviation: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyType {
    LatencySpike,
    ThroughputDrop,
    HitRateDrop,
    MemorySpike,
    ErrorRateSpike,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerformanceDegradation {
    pub metric: String,
    pub baseline: f64,
    pub current: f64,
    /// The loss against the baseline: 0.3 is 30 % worse.
    pub share: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LearningDrift {
    pub engine: String,
    pub kind: DriftType,
    pub trend_value: f64,
    pub recommendation: DriftRecommendation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftType {
    QualityDegradation,
    TaskExplosion,
    PatternStaleness,
    DistributionShift,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftRecommendation {
    ResetPatterns,
    ConsolidateTasks,
    RefreshPatterns,
    IncreaseLearningRate,
    ReduceEwcLambda,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bottleneck {
    pub alert: AlertSeverity,
    pub plan_fingerprint: String,
    pub operators: Vec<String>,
    /// Rows a millisecond over the cut.
    pub capacity: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertSeverity {
    Info,
    Warning,
    Critical,
}
