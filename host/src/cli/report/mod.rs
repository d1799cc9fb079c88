//! What `check`, `heal` and `history` print: JSON with stable names (docs/CHECK_JSON.md), and tables.

mod json;
mod table;

use crate::config::Config;
use crate::heal::IndexFindings;
use crate::model::IndexName;
use crate::postgres::ServerFacts;

pub use json::{failed_json, issue_json, measured_json, to_json};
pub use table::{issue_line, repairs_table, to_table};

/// All that a check has to say.
pub struct Report {
    pub server: String,
    pub facts: ServerFacts,
    pub indexes: Vec<IndexReport>,
    /// What a reader should know of the whole: policies that did not load, proposals that failed.
    pub notes: Vec<String>,
    pub config: Config,
}

pub enum IndexReport {
    Measured { findings: Box<IndexFindings>, proposals: Vec<Proposal> },
    Failed { name: IndexName, reason: String },
}

/// What a strategy would do about an issue, and what it expects of that.
pub struct Proposal {
    pub issue_id: String,
    pub strategy: String,
    pub expects: String,
}
