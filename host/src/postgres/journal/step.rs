use serde::{Deserialize, Serialize};

use crate::model::IndexName;

/// What a step does. Written before it is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// CREATE INDEX CONCURRENTLY under a name of our own.
    BuildBeside {
        index: IndexName,
        candidate: String,
        statement: String,
    },
    /// The gate's verdict on the candidate of the step `build`.
    Compare {
        build: i64,
        gate_passed: bool,
        reason: String,
    },
    /// The candidate takes the index's name, the index takes `kept_name`.
    Swap {
        index: IndexName,
        candidate: String,
        candidate_oid: u32,
        kept_name: String,
    },
    /// Drops the candidate of the step `build`.
    Discard {
        build: i64,
        candidate: String,
    },
    ReindexConcurrently {
        index: IndexName,
    },
    Vacuum {
        index: IndexName,
    },
    Analyze {
        index: IndexName,
    },
    ReinsertRows {
        index: IndexName,
        rows: u64,
    },
    /// Insertions into the index look wider, while rows are put in again.
    RaiseEfConstruction {
        index: IndexName,
        value: u32,
    },
    SetParameter {
        name: String,
        value: String,
        role: Option<String>,
    },
}

impl Action {
    /// For messages and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Action::BuildBeside { .. } => "build_beside",
            Action::Compare { .. } => "compare",
            Action::Swap { .. } => "swap",
            Action::Discard { .. } => "discard",
            Action::ReindexConcurrently { .. } => "reindex_concurrently",
            Action::Vacuum { .. } => "vacuum",
            Action::Analyze { .. } => "analyze",
            Action::ReinsertRows { .. } => "reinsert_rows",
            Action::RaiseEfConstruction { .. } => "raise_ef_construction",
            Action::SetParameter { .. } => "set_parameter",
        }
    }
}

/// How a step is taken back. Each can be done twice without harm, and needs nothing but what it holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Undo {
    /// There is nothing to take back, or no way to.
    Nothing { why: String },
    /// Drops the index of this name, unless it took the original's name meanwhile.
    DropCandidate { schema: String, name: String, table_oid: u32 },
    /// Gives the names back by OID, and the old index its validity.
    ReverseSwap {
        schema: String,
        original_name: String,
        original_oid: u32,
        kept_name: String,
        candidate: String,
        candidate_oid: u32,
        /// Whether the old index was made invalid for planning by the swap.
        invalidated: bool,
    },
    /// Drops what an interrupted REINDEX CONCURRENTLY left: invalid indexes of the table that were not there
    /// before and bear PostgreSQL's own suffix.
    DropLeftovers { schema: String, name: String, table_oid: u32, oids_before: Vec<u32> },
    /// Sets the parameter to what it was (None: resets it), if it still is what the step made it.
    RestoreSetting { name: String, made: String, previous: Option<String>, role: Option<String> },
    /// Gives the index the `ef_construction` that it had (None: unset), if it still is what the step made it.
    RestoreEfConstruction { index_oid: u32, made: u32, previous: Option<u32> },
}

/// The server process that works on a step: it may outlive its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    pub pid: i32,
    /// `pg_stat_activity.backend_start` as text in UTC; with it a reused pid is not mistaken.
    pub started_at: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub action: Action,
    pub undo: Undo,
    /// The object that the step makes or changes, by unquoted name.
    pub object_name: Option<String>,
    pub backend: Option<Backend>,
}

impl Step {
    pub fn new(action: Action, undo: Undo) -> Self {
        Step { action, undo, object_name: None, backend: None }
    }

    pub fn on_object(mut self, name: &str) -> Self {
        self.object_name = Some(name.to_owned());
        self
    }

    pub fn by_backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Written, and perhaps begun: what it did is not known.
    Intended,
    Done,
    Undone,
    /// It failed and left nothing.
    Failed,
}

impl StepState {
    pub fn name(self) -> &'static str {
        match self {
            StepState::Intended => "intended",
            StepState::Done => "done",
            StepState::Undone => "undone",
            StepState::Failed => "failed",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        [StepState::Intended, StepState::Done, StepState::Undone, StepState::Failed]
            .into_iter()
            .find(|state| state.name() == name)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct StepRecord {
    pub id: i64,
    pub repair_id: i64,
    pub seq: i32,
    pub step: Step,
    pub state: StepState,
    pub object_oid: Option<u32>,
    pub note: String,
}
