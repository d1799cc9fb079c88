use std::time::Duration;

/// What a policy may use. Every limit holds for one call; a call runs in a fresh instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// All linear memories and tables of an instance together, in bytes.
    pub memory_bytes: usize,
    /// Calls that only think: name, can-repair, estimated-duration, compute-priority, prioritize.
    pub pure: Budget,
    /// Calls that may work through the host: propose, repair, validate, rollback.
    pub effect: Budget,
    /// Calls of the policy into the host.
    pub host_calls: u32,
    /// Bytes that the policy may hand to the host in one call of either direction.
    pub bytes_to_host: usize,
    /// Rows of a query's result, or of a list of rows, that the policy is handed.
    pub rows_to_guest: usize,
    /// Bytes of a query's result that the policy is handed.
    pub bytes_to_guest: usize,
    /// One SQL statement of the policy; it is cancelled on the server.
    pub sql_time: Duration,
    /// Log lines; further ones are dropped, with one line that says so.
    pub log_lines: u32,
    /// Bytes of log text, in the same way.
    pub log_bytes: usize,
    /// A component's file.
    pub component_bytes: u64,
    /// Calls at the same time; more wait for their turn.
    pub concurrent_calls: u32,
}

/// The time of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// wasmtime's fuel: about one unit an instruction.
    pub fuel: u64,
    /// CPU time of the policy's own code. The host's work and waiting for it do not count.
    pub guest_time: Duration,
    /// From begin to end, the host's work included. None: the host's own deadlines decide, since an index
    /// build may take hours.
    pub wall_time: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            memory_bytes: 64 << 20,
            pure: Budget {
                fuel: 2_000_000_000,
                guest_time: Duration::from_secs(2),
                wall_time: Some(Duration::from_secs(5)),
            },
            effect: Budget { fuel: 500_000_000_000, guest_time: Duration::from_secs(300), wall_time: None },
            host_calls: 10_000,
            bytes_to_host: 1 << 20,
            rows_to_guest: 100_000,
            bytes_to_guest: 4 << 20,
            sql_time: Duration::from_secs(30),
            log_lines: 1_000,
            log_bytes: 256 << 10,
            component_bytes: 64 << 20,
            concurrent_calls: 32,
        }
    }
}
