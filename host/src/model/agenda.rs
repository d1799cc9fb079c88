use serde::Serialize;

use super::Diagnosis;

/// A diagnosis at its place in the order of repair.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgendaItem {
    pub diagnosis: Diagnosis,
    /// 0 to 100, as the prioritizer said and the host clamped it.
    pub priority: f64,
    pub reason: String,
}
