use tokio_postgres::error::SqlState;

/// Why an index could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PagesError {
    #[error("{0}")]
    NoAccess(String),
    #[error("the index was dropped while its pages were read")]
    Dropped,
    #[error("the index was rebuilt in place while its pages were read; measure again")]
    Rebuilt,
    #[error("somebody holds a lock on the index for longer than {0} ms; measure again when it is free")]
    Locked(u64),
    #[error("PostgreSQL sent a COPY stream that cannot be read: {0}")]
    Protocol(&'static str),
    #[error("the thread that decodes pages failed: {0}")]
    Decoder(String),
    #[error("PostgreSQL could not read the index")]
    Database(#[source] tokio_postgres::Error),
}

impl PagesError {
    pub(super) fn from_database(error: tokio_postgres::Error, lock_timeout_ms: u64) -> Self {
        match error.code() {
            Some(code) if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::UNDEFINED_OBJECT => {
                PagesError::Dropped
            }
            // What pageinspect says of an OID that is no longer an index.
            Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => PagesError::Locked(lock_timeout_ms),
            _ => PagesError::Database(error),
        }
    }
}
