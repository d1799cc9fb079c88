use std::time::Duration;

/// What the operator agreed to beyond what can be undone, or beyond pgheal's own things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consents {
    /// REINDEX CONCURRENTLY: nothing is left to go back to.
    pub irreversible: bool,
    /// Re-insertion where triggers or rules of the table would see two updates of each row.
    pub triggers: bool,
    /// Re-insertion where logical replication would send two updates of each row.
    pub logical_replication: bool,
    /// Overwriting a search parameter that somebody else set.
    pub foreign_settings: bool,
}

/// The login that the SQL of policies runs as: its privileges, plain GRANTs, are what a policy may do.
#[derive(Clone, PartialEq, Eq)]
pub struct PolicyRole {
    pub user: String,
    pub password: Option<String>,
    /// Whether its transactions may write; otherwise they are READ ONLY, whatever the role was granted.
    pub may_write: bool,
}

/// The password stays out of logs.
impl std::fmt::Debug for PolicyRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyRole")
            .field("user", &self.user)
            .field("may_write", &self.may_write)
            .finish_non_exhaustive()
    }
}

/// How repairs are done, by the operator's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct RepairSettings {
    /// Recall at k that a repair shall reach, 0 to 1.
    pub recall_target: f64,
    /// Share of the queries that may get (nearly) nothing right, 0 to 1.
    pub max_blind_share: f64,
    /// Measures only; every change is refused.
    pub dry_run: bool,
    pub consents: Consents,
    /// How long a replaced index is kept; zero drops it as soon as the repair is settled.
    pub rollback_window: Duration,
    /// None: policies have no SQL.
    pub policy_role: Option<PolicyRole>,
    /// Parameters that `set_parameter` may set, next to `hnsw.ef_search` and `ivfflat.probes`.
    pub more_parameters: Vec<String>,
    /// `maintenance_work_mem` of a build, as PostgreSQL writes it.
    pub maintenance_work_mem: String,
    /// `max_parallel_maintenance_workers` of a build.
    pub build_workers: u32,
    /// A transaction older than this would keep a concurrent build waiting: not now.
    pub max_transaction_age: Duration,
    /// A build (or drop) whose progress stands still this long is cancelled.
    pub stall_limit: Duration,
    /// `lock_timeout` of short changes: the swap, re-insertion.
    pub lock_timeout: Duration,
    /// How often a short change is tried, with growing pauses.
    pub lock_attempts: u32,
    /// Insertions of one re-insertion transaction at most.
    pub reinsert_insertions: usize,
    /// How long a re-insertion transaction should hold its row locks; its size follows.
    pub reinsert_lock_time: Duration,
    /// A statement of a policy is cancelled after this.
    pub sql_timeout: Duration,
    /// Rows that a policy gets of one query at most.
    pub sql_max_rows: usize,
    /// Bytes that a policy gets of one query at most.
    pub sql_max_bytes: usize,
}

impl Default for RepairSettings {
    fn default() -> Self {
        RepairSettings {
            recall_target: 0.95,
            max_blind_share: 0.005,
            dry_run: false,
            consents: Consents::default(),
            rollback_window: Duration::from_secs(24 * 3600),
            policy_role: None,
            more_parameters: Vec::new(),
            maintenance_work_mem: "256MB".to_owned(),
            build_workers: 2,
            max_transaction_age: Duration::from_secs(600),
            stall_limit: Duration::from_secs(900),
            lock_timeout: Duration::from_millis(200),
            lock_attempts: 20,
            reinsert_insertions: 200,
            reinsert_lock_time: Duration::from_millis(50),
            sql_timeout: Duration::from_secs(30),
            sql_max_rows: 10_000,
            sql_max_bytes: 8 << 20,
        }
    }
}
