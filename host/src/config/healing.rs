use std::ops::RangeInclusive;

use serde::Deserialize;

/// The pauses between checks that make sense: a second to a day.
pub const CHECK_INTERVAL_MS: RangeInclusive<u64> = 1_000..=86_400_000;

/// What of `[healing]` can also be set from elsewhere, and was set by the file: a default that is written there is
/// the operator's word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    pub auto_heal_enabled: bool,
    pub check_interval_ms: bool,
    pub performance_threshold: bool,
}

impl Given {
    /// Of the text of a configuration file.
    pub(super) fn by(text: &str) -> Given {
        let file: toml::Table = toml::from_str(text).unwrap_or_default();
        let healing = file.get("healing").and_then(toml::Value::as_table);
        let has = |key: &str| healing.is_some_and(|healing| healing.contains_key(key));
        Given {
            auto_heal_enabled: has("auto_heal_enabled"),
            check_interval_ms: has("check_interval_ms"),
            performance_threshold: has("performance_threshold"),
        }
    }
}

/// The specification's engine settings, with its defaults.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealingConfig {
    /// Whether the daemon repairs by itself; without it, issues are only found and listed.
    pub auto_heal_enabled: bool,
    /// See `CHECK_INTERVAL_MS`.
    pub check_interval_ms: u64,
    /// 0 (only gross anomalies) to 1; scales the detectors' thresholds.
    pub anomaly_sensitivity: f64,
    /// Loss against the baseline that counts as degradation (0.3 is 30 %); above 0, at most 1.
    pub performance_threshold: f64,
    pub max_concurrent_repairs: usize,
    /// Guest time of one repair. Host actions (a build) have deadlines that follow their progress.
    pub repair_timeout_secs: u64,
    /// Whether a repair that did not help is undone.
    pub rollback_enabled: bool,
    pub history_retention_days: u32,
}

impl Default for HealingConfig {
    fn default() -> Self {
        HealingConfig {
            auto_heal_enabled: true,
            check_interval_ms: 300_000,
            anomaly_sensitivity: 0.7,
            performance_threshold: 0.3,
            max_concurrent_repairs: 3,
            repair_timeout_secs: 300,
            rollback_enabled: true,
            history_retention_days: 30,
        }
    }
}

impl HealingConfig {
    /// What is out of range, in words; None when all is well.
    pub(super) fn complaint(&self) -> Option<String> {
        if !CHECK_INTERVAL_MS.contains(&self.check_interval_ms) {
            let (least, most) = (CHECK_INTERVAL_MS.start(), CHECK_INTERVAL_MS.end());
            return Some(format!(
                "healing.check_interval_ms is {}; it must lie in {least}..{most}",
                self.check_interval_ms
            ));
        }
        if !(0.0..=1.0).contains(&self.anomaly_sensitivity) {
            return Some(format!("healing.anomaly_sensitivity is {}; it must lie in 0..1", self.anomaly_sensitivity));
        }
        if !(self.performance_threshold > 0.0 && self.performance_threshold <= 1.0) {
            return Some(format!(
                "healing.performance_threshold is {}; it must be above 0 and at most 1",
                self.performance_threshold
            ));
        }
        if self.max_concurrent_repairs == 0 {
            return Some(
                "healing.max_concurrent_repairs is 0; to repair nothing set auto_heal_enabled = false".to_owned(),
            );
        }
        if self.repair_timeout_secs == 0 {
            return Some("healing.repair_timeout_secs is 0; it must be at least 1".to_owned());
        }
        None
    }
}
