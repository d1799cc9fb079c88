/// What the exit status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitStatus {
    /// Healthy, or healed.
    Healthy = 0,
    /// Issues were found, or are left.
    Issues = 1,
    /// Wrong usage, no connection, nothing to look at.
    Usage = 2,
    /// A repair failed and was rolled back; or a policy that was to be deployed does not serve, and the one before does.
    RolledBack = 3,
    /// A rollback failed: somebody has to look.
    RollbackFailed = 4,
}

impl ExitStatus {
    pub fn as_u8(self) -> u8 {
        self as u8
    }
}

/// Whatever ended a command early is of the second kind: no verdict on any index was reached.
pub fn exit_code_of(_error: &anyhow::Error) -> ExitStatus {
    ExitStatus::Usage
}
