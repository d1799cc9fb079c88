use tokio_postgres::error::SqlState;

use crate::pgvector::{IndexError, PageError, ProbeError};
use crate::postgres::liveness::LivenessError;
use crate::postgres::pages::PagesError;
use crate::postgres::{CatalogError, ConnectError};

/// Why an index could not be measured at all.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("the index {index} was dropped while it was measured")]
    Dropped { index: String },
    #[error(transparent)]
    Pages(PagesError),
    #[error(transparent)]
    Liveness(#[from] LivenessError),
    #[error("the pages of the index cannot be decoded: {0}")]
    Undecodable(#[from] PageError),
    #[error("the query table {table} cannot be used: {reason}")]
    Queries { table: String, reason: String },
    #[error("the probe queries do not fit the index: {0}")]
    Probes(#[from] ProbeError),
    #[error("the decoded index cannot answer: {0}")]
    Index(#[from] IndexError),
    /// Real scans of one index could not be had: the reason says what the planner did.
    #[error("no real scans of the index: {0}")]
    NotAnswered(String),
    #[error("a computation failed: {0}")]
    Computation(String),
    #[error("PostgreSQL refused a query of the measurement")]
    Database(#[source] tokio_postgres::Error),
}

impl MeasureError {
    /// Failures that leave the searches' quality unknown, instead of failing the whole measurement; as a reason.
    pub(super) fn refusal(&self) -> Option<String> {
        match self {
            MeasureError::NotAnswered(reason) => Some(reason.clone()),
            MeasureError::Liveness(error @ (LivenessError::RowSecurity { .. } | LivenessError::Permission { .. })) => {
                Some(error.to_string())
            }
            MeasureError::Database(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                let message = error.as_db_error().map_or_else(|| error.to_string(), |e| e.message().to_owned());
                Some(format!("the rows cannot be read: {message}"))
            }
            _ => None,
        }
    }

    /// Turns the ways in which an index can be found gone into one.
    pub(super) fn or_dropped(self, index: &str) -> Self {
        match self {
            MeasureError::Pages(PagesError::Dropped) | MeasureError::Liveness(LivenessError::Dropped) => {
                MeasureError::Dropped { index: index.to_owned() }
            }
            MeasureError::Database(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
                MeasureError::Dropped { index: index.to_owned() }
            }
            other => other,
        }
    }
}

impl From<PagesError> for MeasureError {
    fn from(error: PagesError) -> Self {
        MeasureError::Pages(error)
    }
}
