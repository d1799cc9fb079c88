use crate::model::{IndexDefinition, IndexHealth};

/// What EXPLAIN said of a query that this index could answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannerEvidence {
    /// The planner takes the index.
    Uses,
    /// The planner takes something else; the reason says what.
    Ignores { reason: String },
}

/// Everything that the detectors look at. What is absent is not known, and raises nothing.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    pub database: &'a str,
    pub index: &'a IndexDefinition,
    pub health: &'a IndexHealth,
    /// The installed version of pgvector, for example `0.8.6`.
    pub pgvector_version: Option<&'a str>,
    pub planner: Option<PlannerEvidence>,
    /// How long vacuum took for an element of this index, where that was measured, in ms.
    pub vacuum_ms_per_element: Option<f64>,
}

impl<'a> Observed<'a> {
    pub fn new(database: &'a str, index: &'a IndexDefinition, health: &'a IndexHealth) -> Self {
        Observed { database, index, health, pgvector_version: None, planner: None, vacuum_ms_per_element: None }
    }

    pub fn with_pgvector_version(mut self, version: &'a str) -> Self {
        self.pgvector_version = Some(version);
        self
    }

    pub fn with_planner(mut self, evidence: PlannerEvidence) -> Self {
        self.planner = Some(evidence);
        self
    }

    pub fn with_vacuum_ms_per_element(mut self, ms: f64) -> Self {
        self.vacuum_ms_per_element = Some(ms);
        self
    }
}
