use crate::components::HostError;
use crate::postgres::{ConnectError, JournalError, describe_error};

/// What PostgreSQL said, for the policy and the history.
pub fn database_error(error: &tokio_postgres::Error) -> HostError {
    let (sqlstate, message) = describe_error(error);
    if sqlstate.is_empty() {
        return HostError::NotNow(format!("the connection to PostgreSQL was lost: {message}"));
    }
    match sqlstate.as_str() {
        // lock_not_available, too_many_connections, cannot_connect_now, disk_full
        "55P03" => HostError::NotNow(format!("a lock is held by somebody else: {message}")),
        "53300" | "57P03" | "53100" => HostError::NotNow(message),
        "42501" => HostError::Denied(message),
        _ => HostError::Database { sqlstate, message },
    }
}

pub fn gone() -> HostError {
    HostError::NotNow("the index does not exist any more; somebody dropped or replaced it".to_owned())
}

/// Without the journal nothing is done.
pub fn journal_error(error: JournalError) -> HostError {
    HostError::NotNow(format!("{error}; nothing is done without the journal"))
}

pub fn connect_error(error: ConnectError) -> HostError {
    let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(" ({cause})"));
    HostError::NotNow(format!("{error}{cause}"))
}
