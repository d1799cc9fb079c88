use serde::{Deserialize, Serialize};

/// From where on a figure is an issue. The defaults are the specification's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Fragmentation above this, 0 to 1.
    pub fragmentation: f64,
    /// More orphans than this.
    pub orphans: u64,
    /// Connectivity score below this, 0 to 1.
    pub connectivity: f64,
    /// Cluster balance (standard deviation over mean) above this.
    pub cluster_balance: f64,
    /// Hours since the lists were trained, above this.
    pub training_staleness_hours: f64,
    /// Mean recall below this, 0 to 1.
    pub recall_target: f64,
    /// Share of blind queries above this, 0 to 1.
    pub max_blind_share: f64,
    /// Share of unfindable elements above this, 0 to 1.
    pub max_unfindable_share: f64,
    /// Share of the elements that wait for vacuum, above this, 0 to 1.
    pub awaiting_vacuum_share: f64,
    /// Fewer elements that wait for vacuum than this are never an issue.
    pub awaiting_vacuum_least: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds {
            fragmentation: 0.5,
            orphans: 100,
            connectivity: 0.8,
            cluster_balance: 2.0,
            training_staleness_hours: 168.0,
            recall_target: 0.95,
            max_blind_share: 0.005,
            max_unfindable_share: 0.01,
            awaiting_vacuum_share: 0.2,
            awaiting_vacuum_least: 1_000,
        }
    }
}
