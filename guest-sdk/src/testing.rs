//! For native tests of strategies: an index that is played, and samples of what a strategy is told.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use crate::host::actions::{BuildOptions, Candidate, Comparison, Reinsertion, SettingScope};
use crate::*;

/// A healthy HNSW index of 10,000 elements; tests make it sick.
pub fn health() -> IndexHealth {
    IndexHealth {
        size_bytes: 1 << 20,
        recall: Some(0.98),
        recall_p5: Some(0.9),
        blind_share: Some(0.0),
        unfindable: Some(0),
        unfindable_of: Some(10_000),
        parameter_in_force: Some(40),
        curve: vec![CurvePoint { value: 40, recall: 0.98, blind_share: 0.0, cost: 500.0 }],
        elements_live: Some(10_000),
        elements_reachable: Some(10_000),
        elements_deleted: Some(0),
        orphan_count: Some(0),
        connectivity_score: Some(1.0),
        entry_point_quality: Some(1.0),
        fragmentation: Some(0.0),
        m: Some(8),
        ef_construction: Some(64),
        lists: None,
        empty_clusters: None,
        cluster_balance: None,
        centroid_quality: None,
        training_staleness_hours: None,
    }
}

/// A sick one: recall, blind share, unfindable elements.
pub fn sick(recall: f64, blind_share: f64, unfindable: u64) -> IndexHealth {
    IndexHealth { recall: Some(recall), blind_share: Some(blind_share), unfindable: Some(unfindable), ..health() }
}

/// The context of a repair that may do everything that can be undone, for recall 0.95 and 0.5 % blind queries.
pub fn context(kind: IssueKind) -> RepairContext {
    let issue = Issue { id: "i".into(), severity: Severity::High, kind, index: None };
    RepairContext {
        diagnosis: Diagnosis { issue, cause: RootCause::GraphBlindSpots, confidence: 1.0, explanation: String::new() },
        recall_target: 0.95,
        max_blind_share: 0.005,
        dry_run: false,
        consent_irreversible: false,
        reinsertion_refused: None,
        rebuild_refused: None,
        parameter_refused: None,
        settings: Vec::new(),
    }
}

/// An index whose health goes through a list, one further with each vacuum, reindex or setting; the last one stays.
pub struct PlayedIndex {
    pub method: AccessMethod,
    pub healths: RefCell<VecDeque<IndexHealth>>,
    /// What each build measures, and whether it passes the gate.
    pub builds: RefCell<VecDeque<(IndexHealth, bool)>>,
    /// Recall and latency of real scans, by the parameter's value.
    pub scans: BTreeMap<u32, (f64, f64)>,
    pub refuse_reinsertion: bool,
    pub refuse_settings: bool,
    /// The changes that were asked for, in words.
    pub calls: RefCell<Vec<String>>,
}

impl PlayedIndex {
    pub fn new(healths: Vec<IndexHealth>, builds: Vec<(IndexHealth, bool)>) -> Self {
        PlayedIndex {
            method: AccessMethod::Hnsw,
            healths: RefCell::new(healths.into()),
            builds: RefCell::new(builds.into()),
            scans: BTreeMap::new(),
            refuse_reinsertion: false,
            refuse_settings: false,
            calls: RefCell::default(),
        }
    }

    fn note(&self, call: impl Into<String>) {
        self.calls.borrow_mut().push(call.into());
    }

    fn go_on(&self) {
        if self.healths.borrow().len() > 1 {
            self.healths.borrow_mut().pop_front();
        }
    }

    fn now(&self) -> IndexHealth {
        self.healths.borrow()[0].clone()
    }
}

impl IndexTools for PlayedIndex {
    fn method(&self) -> AccessMethod {
        self.method
    }
    fn health(&self) -> Result<IndexHealth, HostError> {
        Ok(self.now())
    }
    fn unfindable_rows(&self, limit: u32) -> Result<Vec<(u32, u16)>, HostError> {
        Ok((0..self.now().unfindable.unwrap_or(0).min(u64::from(limit)) as u32).map(|block| (block, 1)).collect())
    }
    fn reinsert_rows(&self, rows: &[(u32, u16)]) -> Result<Reinsertion, HostError> {
        if self.refuse_reinsertion {
            return Err(HostError::Denied("a trigger".into()));
        }
        self.note(format!("reinsert {}", rows.len()));
        Ok(Reinsertion { rows: rows.len() as u64, skipped: 0, took_ms: 5, wal_bytes: 100 })
    }
    fn vacuum(&self) -> Result<u64, HostError> {
        self.note("vacuum");
        self.go_on();
        Ok(7)
    }
    fn analyze(&self) -> Result<(), HostError> {
        Ok(())
    }
    fn build_beside(&self, options: BuildOptions) -> Result<Candidate, HostError> {
        let BuildOptions { m, ef_construction, lists } = options;
        let given = [("m", m), ("ef_construction", ef_construction), ("lists", lists)];
        let given = given.into_iter().filter_map(|(name, value)| value.map(|value| format!(" {name}={value}")));
        self.note(format!("build{}", given.collect::<String>()));
        Ok(Candidate { id: 1, name: "beside".into(), size_bytes: 1, build_ms: 11 })
    }
    fn compare(&self, _candidate: &Candidate) -> Result<Comparison, HostError> {
        let (after, gate_passed) =
            self.builds.borrow_mut().pop_front().expect("the test plays every build that is made");
        Ok(Comparison {
            before: self.now(),
            after,
            latency_before_ms: None,
            latency_after_ms: Some(1.5),
            gate_passed,
            reason: "played".into(),
        })
    }
    fn swap(&self, _candidate: &Candidate) -> Result<(), HostError> {
        self.note("swap");
        Ok(())
    }
    fn discard(&self, _candidate: &Candidate) -> Result<(), HostError> {
        self.note("discard");
        Ok(())
    }
    fn reindex_concurrently(&self) -> Result<(), HostError> {
        self.note("reindex");
        self.go_on();
        Ok(())
    }
    fn set_parameter(&self, name: &str, value: &str, scope: SettingScope, role: Option<&str>) -> Result<(), HostError> {
        if self.refuse_settings {
            return Err(HostError::Denied("somebody else set it".into()));
        }
        match (scope, role) {
            (SettingScope::Role, Some(role)) => self.note(format!("set {name}={value} for role {role}")),
            _ => self.note(format!("set {name}={value} for the database")),
        }
        self.go_on();
        Ok(())
    }
    fn validate_on_scans(&self, value: u32) -> Result<(f64, f64), HostError> {
        self.scans.get(&value).copied().ok_or_else(|| HostError::Denied(format!("no scans are played at {value}")))
    }
}
