use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The specification's counters of the healing loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealingMetrics {
    pub checks_performed: u64,
    pub issues_detected: u64,
    pub repairs_initiated: u64,
    pub repairs_successful: u64,
    pub repairs_failed: u64,
    pub repairs_rolled_back: u64,
    pub total_repair_time_ms: u64,
    /// Milliseconds since 1970-01-01 UTC; 0 before the first check.
    pub last_check_time: u64,
}

impl HealingMetrics {
    /// Successful over initiated repairs; 1.0 when none was initiated.
    pub fn success_rate(&self) -> f64 {
        if self.repairs_initiated == 0 {
            return 1.0;
        }
        self.repairs_successful as f64 / self.repairs_initiated as f64
    }

    /// Mean over the finished repairs in ms; 0 when none finished.
    pub fn avg_repair_time_ms(&self) -> f64 {
        let finished = self.repairs_successful + self.repairs_failed;
        if finished == 0 {
            return 0.0;
        }
        self.total_repair_time_ms as f64 / finished as f64
    }

    pub fn to_json(&self) -> Value {
        json!({
            "checks_performed": self.checks_performed,
            "issues_detected": self.issues_detected,
            "repairs_initiated": self.repairs_initiated,
            "repairs_successful": self.repairs_successful,
            "repairs_failed": self.repairs_failed,
            "repairs_rolled_back": self.repairs_rolled_back,
            "success_rate": self.success_rate(),
            "avg_repair_time_ms": self.avg_repair_time_ms(),
            "total_repair_time_ms": self.total_repair_time_ms,
            "last_check_time": self.last_check_time,
        })
    }
}
