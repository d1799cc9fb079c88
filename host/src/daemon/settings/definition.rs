use std::fmt;

use crate::config::{CHECK_INTERVAL_MS, HealingConfig};

/// A setting that can be made in the file, the environment, a flag, the database, at the endpoint and in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setting {
    /// Whether issues are repaired without being asked.
    Enabled,
    /// The pause between two checks.
    IntervalMs,
    /// `HealingConfig::performance_threshold`.
    Threshold,
}

/// What a setting can be; its own kind only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SettingValue {
    Enabled(bool),
    IntervalMs(u64),
    Threshold(f64),
}

impl Setting {
    pub const ALL: [Setting; 3] = [Setting::Enabled, Setting::IntervalMs, Setting::Threshold];

    pub fn name(self) -> &'static str {
        match self {
            Setting::Enabled => "ruvector.dag_healing_enabled",
            Setting::IntervalMs => "ruvector.dag_healing_interval_ms",
            Setting::Threshold => "ruvector.dag_healing_threshold",
        }
    }

    /// As PostgreSQL looks settings up: whatever the case.
    pub fn of_name(name: &str) -> Option<Setting> {
        Setting::ALL.into_iter().find(|setting| setting.name().eq_ignore_ascii_case(name))
    }

    pub fn environment_variable(self) -> &'static str {
        match self {
            Setting::Enabled => "PGHEAL_DAG_HEALING_ENABLED",
            Setting::IntervalMs => "PGHEAL_DAG_HEALING_INTERVAL_MS",
            Setting::Threshold => "PGHEAL_DAG_HEALING_THRESHOLD",
        }
    }

    /// In words, for refusals.
    pub fn range(self) -> &'static str {
        match self {
            Setting::Enabled => "on or off",
            Setting::IntervalMs => "a whole number of milliseconds in 1000..86400000",
            Setting::Threshold => "a number above 0 and at most 1",
        }
    }

    /// Reads a text as PostgreSQL would read one of this type.
    ///
    /// # Errors
    /// Name, text and range, in words.
    pub fn parse(self, text: &str) -> Result<SettingValue, String> {
        let trimmed = text.trim();
        let value = match self {
            Setting::Enabled => boolean(trimmed).map(SettingValue::Enabled),
            Setting::IntervalMs => {
                milliseconds(trimmed).filter(|ms| CHECK_INTERVAL_MS.contains(ms)).map(SettingValue::IntervalMs)
            }
            Setting::Threshold => {
                trimmed.parse().ok().filter(|share: &f64| *share > 0.0 && *share <= 1.0).map(SettingValue::Threshold)
            }
        };
        value.ok_or_else(|| format!("{} cannot be {text:?}; it must be {}", self.name(), self.range()))
    }

    /// What a configuration says.
    pub fn of(self, healing: &HealingConfig) -> SettingValue {
        match self {
            Setting::Enabled => SettingValue::Enabled(healing.auto_heal_enabled),
            Setting::IntervalMs => SettingValue::IntervalMs(healing.check_interval_ms),
            Setting::Threshold => SettingValue::Threshold(healing.performance_threshold),
        }
    }
}

impl SettingValue {
    pub fn put_into(self, healing: &mut HealingConfig) {
        match self {
            SettingValue::Enabled(value) => healing.auto_heal_enabled = value,
            SettingValue::IntervalMs(value) => healing.check_interval_ms = value,
            SettingValue::Threshold(value) => healing.performance_threshold = value,
        }
    }
}

/// As PostgreSQL shows it.
impl fmt::Display for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingValue::Enabled(true) => f.write_str("on"),
            SettingValue::Enabled(false) => f.write_str("off"),
            SettingValue::IntervalMs(value) => write!(f, "{value}"),
            SettingValue::Threshold(value) => write!(f, "{value}"),
        }
    }
}

/// PostgreSQL's parse_bool: the words, and what can only be the beginning of one of them.
fn boolean(text: &str) -> Option<bool> {
    let text = text.to_ascii_lowercase();
    let begins = |word: &str, least: usize| text.len() >= least && word.starts_with(&text);
    if text == "1" || begins("true", 1) || begins("yes", 1) || text == "on" {
        Some(true)
    } else if text == "0" || begins("false", 1) || begins("no", 1) || begins("off", 2) {
        Some(false)
    } else {
        None
    }
}

/// A number, or one with a unit of PostgreSQL's.
fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let factor = match unit.trim_start() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(setting: Setting, text: &str, expected: Option<&str>) {
        match (setting.parse(text), expected) {
            (Ok(value), Some(expected)) => assert_eq!(value.to_string(), expected, "{text:?}"),
            (Err(complaint), None) => {
                assert!(complaint.contains(setting.name()) && complaint.contains(setting.range()), "{complaint}");
            }
            (found, expected) => panic!("{} = {text:?}: {found:?}, expected {expected:?}", setting.name()),
        }
    }

    #[test]
    fn values_are_read_as_postgresql_reads_them() {
        for (text, expected) in
            [("on", "on"), ("TRUE", "on"), ("y", "on"), ("1", "on"), ("of", "off"), ("n", "off"), (" f ", "off")]
        {
            check(Setting::Enabled, text, Some(expected));
        }
        check(Setting::IntervalMs, "1000", Some("1000"));
        check(Setting::IntervalMs, "5 min", Some("300000"));
        check(Setting::IntervalMs, "1d", Some("86400000"));
        check(Setting::Threshold, "0.25", Some("0.25"));
        check(Setting::Threshold, "1", Some("1"));
    }

    #[test]
    fn what_is_out_of_range_or_no_value_is_refused_with_the_range() {
        for text in ["o", "banana", "2", "", "tru e", "ontario"] {
            check(Setting::Enabled, text, None);
        }
        for text in ["999", "86400001", "-5", "1e3", "5 weeks", "99999999999999999999", "18446744073709551615 d", ""] {
            check(Setting::IntervalMs, text, None);
        }
        for text in ["0", "1.01", "nan", "-0.1", "inf", "half"] {
            check(Setting::Threshold, text, None);
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(Setting::of_name("Ruvector.DAG_healing_Enabled"), Some(Setting::Enabled));
        assert_eq!(Setting::of_name("ruvector.dag_healing"), None);
    }
}
