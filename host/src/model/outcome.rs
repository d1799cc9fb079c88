use serde::{Deserialize, Serialize};

/// One fact of a repair, for the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairDetail {
    pub name: String,
    pub value: String,
}

/// What a strategy says of its repair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RepairResult {
    pub success: bool,
    pub repair_type: String,
    pub duration_ms: u64,
    pub backup: Option<String>,
    pub details: Vec<RepairDetail>,
}

/// How a repair ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Healed,
    RolledBack,
    RollbackFailed,
    Inconclusive,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Healed => "healed",
            Outcome::RolledBack => "rolled_back",
            Outcome::RollbackFailed => "rollback_failed",
            Outcome::Inconclusive => "inconclusive",
        }
    }
}

/// A repair in the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RepairRecord {
    pub id: i64,
    pub issue_id: String,
    pub issue_kind: String,
    pub index: Option<String>,
    pub strategy: String,
    /// The strategy component's digest.
    pub digest: String,
    /// RFC 3339.
    pub started_at: String,
    /// Absent while the repair is in progress.
    pub finished_at: Option<String>,
    pub outcome: Option<Outcome>,
    pub result: Option<RepairResult>,
    /// Why it ended as it did, in words.
    pub reason: String,
    /// The measurements that the verdict rests on.
    pub before: serde_json::Value,
    pub after: serde_json::Value,
}
