use crate::daemon::api::Refusal;

/// SQLSTATEs.
pub mod code {
    pub const SYNTAX: &str = "42601";
    pub const UNSUPPORTED: &str = "0A000";
    pub const PROTOCOL: &str = "08P01";
    pub const NOT_PERMITTED: &str = "42501";
    pub const INVALID_VALUE: &str = "22023";
    pub const INVALID_TEXT: &str = "22P02";
    pub const OUT_OF_RANGE: &str = "22003";
    pub const UNKNOWN_OBJECT: &str = "42704";
    pub const UNKNOWN_TABLE: &str = "42P01";
    pub const UNKNOWN_COLUMN: &str = "42703";
    pub const UNKNOWN_FUNCTION: &str = "42883";
    pub const TYPE_MISMATCH: &str = "42804";
    pub const IN_USE: &str = "55006";
    pub const UNAVAILABLE: &str = "57P03";
    pub const CANCELED: &str = "57014";
    pub const SHUTDOWN: &str = "57P01";
    pub const IDLE: &str = "57P05";
    pub const TOO_MANY_CONNECTIONS: &str = "53300";
    pub const LIMIT: &str = "54000";
    pub const TOO_COMPLEX: &str = "54001";
    pub const FAILED_TRANSACTION: &str = "25P02";
    pub const UNKNOWN_STATEMENT: &str = "26000";
    pub const UNKNOWN_PORTAL: &str = "34000";
    pub const DUPLICATE_STATEMENT: &str = "42P05";
    pub const UNKNOWN_DATABASE: &str = "3D000";
    pub const WRONG_PASSWORD: &str = "28P01";
    pub const WRONG_AUTHORIZATION: &str = "28000";
}

/// Why a statement is not carried out: what the client gets as ErrorResponse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    pub code: &'static str,
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Refused {
    pub fn new(code: &'static str, message: impl Into<String>) -> Refused {
        Refused { code, message: message.into(), hint: None }
    }

    pub fn with_hint(mut self, hint: impl Into<String>) -> Refused {
        self.hint = Some(hint.into());
        self
    }

    pub fn syntax(message: impl Into<String>) -> Refused {
        Refused::new(code::SYNTAX, message)
    }

    /// What PostgreSQL can and this endpoint cannot.
    pub fn unsupported(what: impl std::fmt::Display) -> Refused {
        Refused::new(code::UNSUPPORTED, format!("pgheal's endpoint does not support {what}"))
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        let code = match &refusal {
            Refusal::UnknownTarget(_) | Refusal::UnknownTable(_) | Refusal::UnknownIssue(_) => code::UNKNOWN_OBJECT,
            Refusal::Running(_) => code::IN_USE,
            Refusal::NotPermitted(_) => code::NOT_PERMITTED,
            Refusal::InvalidValue(_) => code::INVALID_VALUE,
            Refusal::Unavailable(_) => code::UNAVAILABLE,
        };
        Refused::new(code, refusal.to_string())
    }
}
