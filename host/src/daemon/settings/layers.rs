use std::collections::BTreeMap;

use super::{Setting, SettingValue};
use crate::config::{Config, HealingConfig};
use crate::daemon::api::EffectiveSetting;

/// Where a value comes from; the later one holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    Default,
    /// pgheal.toml.
    File,
    /// Of the daemon's process.
    Environment,
    /// Of the daemon's command line.
    Flag,
    /// ALTER SYSTEM, postgresql.conf, or ALTER ROLE ALL.
    System,
    /// ALTER DATABASE.
    Database,
    /// ALTER ROLE, of the role as which the daemon logs in; in this database before in all.
    Role,
    /// SET at the endpoint.
    Endpoint,
    /// Of the session that asks.
    Session,
}

impl Source {
    pub fn name(self) -> &'static str {
        match self {
            Source::Default => "default",
            Source::File => "pgheal.toml",
            Source::Environment => "environment",
            Source::Flag => "flag",
            Source::System => "system",
            Source::Database => "database",
            Source::Role => "role",
            Source::Endpoint => "endpoint",
            Source::Session => "session",
        }
    }
}

/// Values as they were given, by source. A text that is no value of its setting does not hold: the next weaker source
/// does, and the refusal is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers(BTreeMap<Source, BTreeMap<Setting, String>>);

impl Layers {
    /// The defaults, and what the file gives.
    pub fn of_config(config: &Config) -> Layers {
        let mut layers = Layers::default();
        let given = config.healing_given;
        for setting in Setting::ALL {
            layers.put(Source::Default, setting, setting.of(&HealingConfig::default()).to_string());
            let is_given = match setting {
                Setting::Enabled => given.auto_heal_enabled,
                Setting::IntervalMs => given.check_interval_ms,
                Setting::Threshold => given.performance_threshold,
            };
            if is_given {
                layers.put(Source::File, setting, setting.of(&config.healing).to_string());
            }
        }
        layers
    }

    /// Empty means unset, as PostgreSQL leaves a placeholder after SET LOCAL.
    pub fn put(&mut self, source: Source, setting: Setting, text: String) {
        let layer = self.0.entry(source).or_default();
        if text.trim().is_empty() {
            layer.remove(&setting);
        } else {
            layer.insert(setting, text);
        }
    }

    /// Replaces everything that the source said.
    pub fn replace(&mut self, source: Source, values: BTreeMap<Setting, String>) {
        self.0.remove(&source);
        for (setting, text) in values {
            self.put(source, setting, text);
        }
    }

    pub fn unset(&mut self, source: Source, setting: Setting) {
        if let Some(layer) = self.0.get_mut(&source) {
            layer.remove(&setting);
        }
    }

    /// These, over which the other's sources have their say.
    pub fn with(mut self, other: &Layers) -> Layers {
        for (source, values) in &other.0 {
            self.0.entry(*source).or_default().extend(values.iter().map(|(setting, text)| (*setting, text.clone())));
        }
        self
    }

    /// The value that holds, its source, and why a stronger one does not hold.
    pub fn effective(&self, setting: Setting) -> (SettingValue, Source, Option<String>) {
        let mut refused = None;
        for (source, layer) in self.0.iter().rev() {
            let Some(text) = layer.get(&setting) else { continue };
            match setting.parse(text) {
                Ok(value) => return (value, *source, refused),
                Err(complaint) => {
                    refused.get_or_insert_with(|| format!("{}: {complaint}", source.name()));
                }
            }
        }
        (setting.of(&HealingConfig::default()), Source::Default, refused)
    }

    /// All settings, for people.
    pub fn all(&self) -> Vec<EffectiveSetting> {
        Setting::ALL
            .into_iter()
            .map(|setting| {
                let (value, source, refused) = self.effective(setting);
                EffectiveSetting {
                    name: setting.name(),
                    value: value.to_string(),
                    source: source.name().to_owned(),
                    refused,
                }
            })
            .collect()
    }

    /// The configuration with the values that hold.
    pub fn apply_to(&self, config: &Config) -> Config {
        let mut config = config.clone();
        for setting in Setting::ALL {
            self.effective(setting).0.put_into(&mut config.healing);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &[(Source, &str)], expected: (&str, &str, Option<&str>)) {
        let mut layers = Layers::of_config(&Config::default());
        for (source, text) in given {
            layers.put(*source, Setting::IntervalMs, (*text).to_owned());
        }
        let (value, source, refused) = layers.effective(Setting::IntervalMs);
        assert_eq!((value.to_string().as_str(), source.name()), (expected.0, expected.1), "{given:?}");
        match expected.2 {
            None => assert_eq!(refused, None, "{given:?}"),
            Some(part) => assert!(refused.as_deref().is_some_and(|r| r.contains(part)), "{refused:?} lacks {part:?}"),
        }
    }

    #[test]
    fn the_strongest_valid_value_holds_and_a_refused_one_is_told() {
        check(&[], ("300000", "default", None));
        check(&[(Source::File, "2000"), (Source::Environment, "3000")], ("3000", "environment", None));
        check(&[(Source::Database, "4000"), (Source::Flag, "3000")], ("4000", "database", None));
        check(&[(Source::Role, "5000"), (Source::Database, "4000")], ("5000", "role", None));
        check(&[(Source::Endpoint, "6000"), (Source::Role, "5000")], ("6000", "endpoint", None));
        check(&[(Source::Database, "7"), (Source::File, "2000")], ("2000", "pgheal.toml", Some("database: ")));
        check(&[(Source::Database, "")], ("300000", "default", None));
        let both = [(Source::Role, "banana"), (Source::Database, "-1"), (Source::System, "9000")];
        check(&both, ("9000", "system", Some("role: ruvector.dag_healing_interval_ms cannot be \"banana\"")));
    }

    #[test]
    fn what_the_file_writes_is_the_files_even_where_it_is_the_default() {
        let mut config = Config::default();
        config.healing_given.auto_heal_enabled = true;
        let layers = Layers::of_config(&config);
        assert_eq!(layers.effective(Setting::Enabled).1, Source::File);
        assert_eq!(layers.effective(Setting::Threshold).1, Source::Default);
    }

    #[test]
    fn values_reach_the_configuration() {
        let mut layers = Layers::of_config(&Config::default());
        layers.put(Source::Endpoint, Setting::Enabled, "off".to_owned());
        layers.put(Source::Database, Setting::Threshold, "0.5".to_owned());
        let healing = layers.apply_to(&Config::default()).healing;
        assert_eq!((healing.auto_heal_enabled, healing.performance_threshold), (false, 0.5));
        layers.unset(Source::Endpoint, Setting::Enabled);
        assert!(layers.apply_to(&Config::default()).healing.auto_heal_enabled);
    }
}
