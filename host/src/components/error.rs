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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadStep {
    Read,
    /// Signatures and pinned digests.
    Trust,
    Compile,
    Link,
    Describe,
    SelfCheck,
    Register,
}

impl fmt::Display for LoadStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LoadStep::Read => "read",
            LoadStep::Trust => "trust",
            LoadStep::Compile => "compile",
            LoadStep::Link => "link",
            LoadStep::Describe => "describe",
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
