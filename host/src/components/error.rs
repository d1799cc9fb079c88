use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Why a call of a policy gave no answer. After any of these the policy's instance is gone; what the call did
/// through the host stays until the host undoes it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("there is no policy named {0}")]
    NoSuchPolicy(String),
    #[error("out of fuel: it ran more than {0} instructions")]
    OutOfFuel(u64),
    #[error("out of time: its own code ran longer than {0:?}")]
    CpuTime(Duration),
    #[error("out of time: the call took longer than {0:?}")]
    WallTime(Duration),
    #[error("out of memory: it asked for {wanted} bytes, the limit is {limit}")]
    Memory { wanted: usize, limit: usize },
    #[error("it called the host more than {0} times")]
    TooManyHostCalls(u32),
    #[error("it handed the host more than {0} bytes at once")]
    TooMuchData(usize),
    /// The policy broke off by itself: a panic, an access out of bounds, a stack overflow.
    #[error("trap: {message}{}", backtrace_text(.backtrace))]
    Trap {
        message: String,
        /// Names of the functions, the innermost first.
        backtrace: Vec<String>,
    },
    #[error("invalid result: {0}")]
    InvalidResult(String),
    /// The sandbox itself failed; not the policy's fault.
    #[error("sandbox: {0}")]
    Sandbox(String),
}

impl CallError {
    /// The outcome's name in metrics, status and history.
    pub fn outcome(&self) -> &'static str {
        match self {
            CallError::NoSuchPolicy(_) => "no such policy",
            CallError::OutOfFuel(_) => "out of fuel",
            CallError::CpuTime(_) => "cpu time",
            CallError::WallTime(_) => "wall time",
            CallError::Memory { .. } => "memory",
            CallError::TooManyHostCalls(_) => "too many host calls",
            CallError::TooMuchData(_) => "too much data",
            CallError::Trap { .. } => "trap",
            CallError::InvalidResult(_) => "invalid result",
            CallError::Sandbox(_) => "sandbox",
        }
    }

    /// Whether it is the policy's own doing.
    pub fn is_the_policys(&self) -> bool {
        !matches!(self, CallError::NoSuchPolicy(_) | CallError::Sandbox(_))
    }
}

fn backtrace_text(backtrace: &[String]) -> String {
    if backtrace.is_empty() { String::new() } else { format!(" (in {})", backtrace.join(", called by ")) }
}

/// A limit that a policy hit, as it travels through wasmtime.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    #[error("guest time")]
    CpuTime,
    #[error("memory: {wanted} bytes")]
    Memory { wanted: usize },
    #[error("host calls")]
    TooManyHostCalls,
}

/// What is done with a component before it serves, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadStep {
    Read,
    /// The version had too many strikes.
    Quarantine,
    /// Signatures.
    Trust,
    /// Its kind, its contract, and what it asks for; before it is compiled.
    Imports,
    Compile,
    Link,
    Describe,
    /// The operator's settings and pins for it.
    Configure,
    SelfCheck,
    Register,
}

impl fmt::Display for LoadStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LoadStep::Read => "read",
            LoadStep::Quarantine => "quarantine",
            LoadStep::Trust => "trust",
            LoadStep::Imports => "imports",
            LoadStep::Compile => "compile",
            LoadStep::Link => "link",
            LoadStep::Describe => "describe",
            LoadStep::Configure => "configure",
            LoadStep::SelfCheck => "self-check",
            LoadStep::Register => "register",
        })
    }
}

/// A file that did not become a policy, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is not loaded ({step}): {reason}", .path.display())]
pub struct LoadFailure {
    pub path: PathBuf,
    /// SHA-256 in hex; absent where the file could not be read.
    pub digest: Option<String>,
    pub step: LoadStep,
    pub reason: String,
}
