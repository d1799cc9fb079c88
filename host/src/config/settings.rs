use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::target::one_or_many;
use super::{
    EndpointConfig, Given, HealingConfig, LimitSettings, LogSettings, MetricsSettings, PolicyConfig, TargetSettings,
};

/// Why a configuration was refused; nothing of it takes effect.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path} cannot be read")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {message}")]
    Syntax { path: PathBuf, message: String },
    #[error("{path}: {complaint}")]
    Value { path: PathBuf, complaint: String },
}

/// The whole of pgheal.toml. Every section may be left out.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The databases under care.
    #[serde(deserialize_with = "one_or_many")]
    pub target: Vec<TargetSettings>,
    pub healing: HealingConfig,
    /// Which of the healing settings that have other sources, too, the file gives.
    #[serde(skip)]
    pub healing_given: Given,
    pub measure: MeasureSettings,
    pub repair: RepairConfig,
    pub policies: PolicySettings,
    pub metrics: MetricsSettings,
    pub log: LogSettings,
    pub endpoint: EndpointConfig,
    /// Per policy, by its name.
    pub policy: BTreeMap<String, PolicyConfig>,
    /// Per index, by `schema.name` or `name`, unquoted.
    pub index: BTreeMap<String, IndexSettings>,
}

/// What counts as healthy, and how it is measured.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MeasureSettings {
    /// Recall at 10 that searches must reach, 0 to 1.
    pub recall_target: f64,
    /// Largest tolerated share of queries with recall below 0.1.
    pub max_blind_share: f64,
    /// Largest tolerated share of elements that a search for their own vector misses.
    pub max_unfindable_share: f64,
    pub probe_count: usize,
    /// A table of real queries (its first vector column); without it rows of the index are sampled.
    pub query_table: Option<String>,
    pub vector_memory_limit_bytes: u64,
    pub max_fragmentation: f64,
    pub max_orphans: u64,
    pub min_connectivity: f64,
    pub max_cluster_balance: f64,
    pub max_training_staleness_hours: f64,
}

impl Default for MeasureSettings {
    fn default() -> Self {
        MeasureSettings {
            recall_target: 0.95,
            max_blind_share: 0.005,
            max_unfindable_share: 0.01,
            probe_count: 1_000,
            query_table: None,
            vector_memory_limit_bytes: 4 << 30,
            max_fragmentation: 0.5,
            max_orphans: 100,
            min_connectivity: 0.8,
            max_cluster_balance: 2.0,
            max_training_staleness_hours: 168.0,
        }
    }
}

/// What repairs may do, and how careful they are.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RepairConfig {
    /// How long the old index of a rebuild is kept for a rollback; 0 drops it at once.
    pub rollback_window_hours: u32,
    /// Allows repairs that cannot be undone (REINDEX CONCURRENTLY of a partition's leaf).
    pub allow_irreversible: bool,
    /// Allows rows to be re-inserted where user triggers would see two updates of each.
    pub allow_reinsertion_with_triggers: bool,
    /// Allows rows to be re-inserted where logical replication would send two updates of each.
    pub allow_reinsertion_with_publications: bool,
    /// Allows overwriting a parameter that somebody else set for the database or role.
    pub allow_overwriting_settings: bool,
    /// Indexes that no repair touches, by `schema.name` or `name`.
    pub exclude: Vec<String>,
    /// How long the swap waits for its lock before it tries again.
    pub swap_lock_timeout_ms: u64,
    /// Refuses a build while a transaction is older than this.
    pub max_transaction_age_secs: u64,
    /// `maintenance_work_mem` of builds, for example "1GB"; absent means 256MB.
    pub maintenance_work_mem: Option<String>,
}

impl Default for RepairConfig {
    fn default() -> Self {
        RepairConfig {
            rollback_window_hours: 24,
            allow_irreversible: false,
            allow_reinsertion_with_triggers: false,
            allow_reinsertion_with_publications: false,
            allow_overwriting_settings: false,
            exclude: Vec::new(),
            swap_lock_timeout_ms: 200,
            max_transaction_age_secs: 600,
            maintenance_work_mem: None,
        }
    }
}

/// All policies.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicySettings {
    /// Where the `.wasm` files are; absent means `policies` beside the program.
    pub directory: Option<PathBuf>,
    /// Where versions of policies are remembered; absent means `.pgheal` in the policy directory.
    pub state_directory: Option<PathBuf>,
    /// Public keys (`ed25519:...`). Where there are any, only components that one of them signed are loaded.
    pub trusted_keys: Vec<String>,
    /// Limits of all policies whose own are not given.
    pub limits: LimitSettings,
}

/// What differs for one index.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IndexSettings {
    pub recall_target: Option<f64>,
    pub query_table: Option<String>,
}

impl Config {
    /// Reads and checks a file; the error names the file, the place and what is wrong.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Config::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
        let mut config: Config =
            toml::from_str(text).map_err(|e| ConfigError::Syntax { path: path.to_owned(), message: e.to_string() })?;
        config.healing_given = Given::by(text);
        config.endpoint.start_paths_at(path.parent().unwrap_or(Path::new("")));
        match config.complaint() {
            None => Ok(config),
            Some(complaint) => Err(ConfigError::Value { path: path.to_owned(), complaint }),
        }
    }

    fn complaint(&self) -> Option<String> {
        let m = &self.measure;
        let shares = [
            ("measure.recall_target", m.recall_target),
            ("measure.max_blind_share", m.max_blind_share),
            ("measure.max_unfindable_share", m.max_unfindable_share),
            ("measure.max_fragmentation", m.max_fragmentation),
            ("measure.min_connectivity", m.min_connectivity),
        ];
        let targets = self.index.iter().filter_map(|(name, s)| Some((name.as_str(), s.recall_target?)));
        for (name, value) in shares.into_iter().chain(targets) {
            if !(0.0..=1.0).contains(&value) {
                return Some(format!("{name} is {value}; it must lie in 0..1"));
            }
        }
        if m.probe_count == 0 {
            return Some("measure.probe_count is 0; nothing can be measured without probes".to_owned());
        }
        if let Some(complaint) = self.policy.iter().find_map(|(name, policy)| policy.complaint(name)) {
            return Some(complaint);
        }
        self.endpoint.complaint().or_else(|| self.healing.complaint())
    }

    /// The sections that differ from the other's and are read when the daemon starts, not when the file changes.
    pub fn changed_for_next_start(&self, other: &Config) -> Vec<&'static str> {
        let sections = [
            ("policies", self.policies != other.policies),
            ("policy", self.policy != other.policy),
            ("metrics", self.metrics != other.metrics),
            ("log", self.log != other.log),
        ];
        sections.into_iter().filter(|(_, changed)| *changed).map(|(section, _)| section).collect()
    }

    /// The settings of one index: by `schema.name` first, then by `name`.
    pub fn index(&self, schema: &str, name: &str) -> Option<&IndexSettings> {
        self.index.get(&format!("{schema}.{name}")).or_else(|| self.index.get(name))
    }

    pub fn recall_target(&self, schema: &str, name: &str) -> f64 {
        self.index(schema, name).and_then(|s| s.recall_target).unwrap_or(self.measure.recall_target)
    }

    pub fn is_excluded(&self, schema: &str, name: &str) -> bool {
        let qualified = format!("{schema}.{name}");
        self.repair.exclude.iter().any(|e| *e == qualified || e == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<f64, &str>) {
        let parsed = Config::parse(text, Path::new("pgheal.toml"));
        match (parsed, expected) {
            (Ok(config), Ok(target)) => assert_eq!(config.recall_target("public", "docs_idx"), target),
            (Err(error), Err(part)) => {
                let error = error.to_string();
                assert!(error.contains(part), "{error:?} does not say {part:?}");
                assert!(error.contains("pgheal.toml"), "{error:?} does not name the file");
            }
            (parsed, expected) => panic!("{text:?}: {parsed:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn empty_is_the_defaults_and_an_index_may_differ() {
        check("", Ok(0.95));
        check("[measure]\nrecall_target = 0.9", Ok(0.9));
        check("[index.docs_idx]\nrecall_target = 0.99", Ok(0.99));
        check("[index.\"public.docs_idx\"]\nrecall_target = 0.97\n[index.docs_idx]\nrecall_target = 0.99", Ok(0.97));
    }

    #[test]
    fn mistakes_are_named() {
        check("[measure]\nrecall_target = 1.5", Err("measure.recall_target is 1.5"));
        check("[healing]\ncheck_interval = 5", Err("unknown field `check_interval`"));
        check("[healing]\nmax_concurrent_repairs = 0", Err("auto_heal_enabled = false"));
        check("[healing]\nanomaly_sensitivity = nan", Err("anomaly_sensitivity"));
        check("[healing]\ncheck_interval_ms = 999", Err("1000..86400000"));
        check("[healing]\nperformance_threshold = 1.5", Err("at most 1"));
        check("[measure\n", Err("line 1"));
        check("[policy.mine.grant]\nactions = [\"drop\"]", Err("policy.mine.grant: there is no action drop"));
        check("[policy.mine.settings]\nx = [1]", Err("policy.mine.settings.x"));
        check("[policy.mine.limits]\nfuel = 0", Err("policy.mine.limits.fuel is 0"));
    }
}
