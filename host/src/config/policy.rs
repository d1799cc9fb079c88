use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::components::{Grant, Limits, PolicyConfigs, PolicyOptions};

use super::Config;

/// One policy, in `[policy.NAME]`. What is left out is as for any policy.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyConfig {
    pub enabled: Option<bool>,
    /// Ascending; of the prioritizers the first one ranks.
    pub order: Option<i32>,
    /// Checked against what the policy declares, once it is loaded.
    pub settings: BTreeMap<String, toml::Value>,
    pub limits: LimitSettings,
    /// Replaces what a policy of this name is granted by default: nothing, unless it comes with pgheal.
    pub grant: Option<Grant>,
    /// SHA-256 in hex: only these versions are loaded.
    pub digests: Vec<String>,
}

/// Limits of one call; see `components::Limits` for the meaning and the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    pub memory_bytes: Option<usize>,
    /// Of calls that only think.
    pub fuel: Option<u64>,
    /// Of calls that may work through the host.
    pub repair_fuel: Option<u64>,
    pub cpu_time_ms: Option<u64>,
    pub repair_cpu_time_ms: Option<u64>,
    pub wall_time_ms: Option<u64>,
    /// None unless given: the host's own deadlines decide.
    pub repair_wall_time_ms: Option<u64>,
    pub host_calls: Option<u32>,
    pub bytes_to_host: Option<usize>,
    pub rows_to_guest: Option<usize>,
    pub bytes_to_guest: Option<usize>,
    /// Of one SQL statement.
    pub sql_time_ms: Option<u64>,
    pub log_lines: Option<u32>,
    pub log_bytes: Option<usize>,
}

impl PolicyConfig {
    pub(super) fn complaint(&self, name: &str) -> Option<String> {
        if let Some(complaint) = self.grant.as_ref().and_then(Grant::complaint) {
            return Some(format!("policy.{name}.grant: {complaint}"));
        }
        if let Some((setting, _)) = self.settings.iter().find(|(_, value)| text(value).is_none()) {
            return Some(format!("policy.{name}.settings.{setting} must be a text, a number or true or false"));
        }
        let is_digest = |digest: &String| digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit());
        if let Some(digest) = self.digests.iter().find(|digest| !is_digest(digest)) {
            return Some(format!("policy.{name}.digests: {digest:?} is not a SHA-256 in 64 hex digits"));
        }
        let zero = self.limits.zero()?;
        Some(format!("policy.{name}.limits.{zero} is 0; nothing could run"))
    }

    fn options(&self, name: &str, defaults: &Limits) -> PolicyOptions {
        let shipped = PolicyOptions::shipped(name, defaults);
        PolicyOptions {
            enabled: self.enabled.unwrap_or(true),
            order: self.order.unwrap_or(shipped.order),
            settings: self.settings.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect(),
            limits: self.limits.over(defaults),
            grant: self.grant.clone().unwrap_or(shipped.grant),
            digests: self.digests.clone(),
        }
    }
}

impl LimitSettings {
    fn zero(&self) -> Option<&'static str> {
        let zero = |value: Option<u64>| value == Some(0);
        [
            ("memory_bytes", zero(self.memory_bytes.map(|bytes| bytes as u64))),
            ("fuel", zero(self.fuel)),
            ("repair_fuel", zero(self.repair_fuel)),
            ("cpu_time_ms", zero(self.cpu_time_ms)),
            ("repair_cpu_time_ms", zero(self.repair_cpu_time_ms)),
            ("wall_time_ms", zero(self.wall_time_ms)),
            ("repair_wall_time_ms", zero(self.repair_wall_time_ms)),
            ("sql_time_ms", zero(self.sql_time_ms)),
        ]
        .into_iter()
        .find_map(|(name, is_zero)| is_zero.then_some(name))
    }

    /// These limits, and where nothing is said the defaults.
    fn over(&self, defaults: &Limits) -> Limits {
        let mut limits = defaults.clone();
        let ms = |value: Option<u64>| value.map(Duration::from_millis);
        let replace = |place: &mut Duration, value: Option<Duration>| *place = value.unwrap_or(*place);
        limits.memory_bytes = self.memory_bytes.unwrap_or(limits.memory_bytes);
        limits.pure.fuel = self.fuel.unwrap_or(limits.pure.fuel);
        limits.effect.fuel = self.repair_fuel.unwrap_or(limits.effect.fuel);
        replace(&mut limits.pure.guest_time, ms(self.cpu_time_ms));
        replace(&mut limits.effect.guest_time, ms(self.repair_cpu_time_ms));
        replace(&mut limits.sql_time, ms(self.sql_time_ms));
        limits.pure.wall_time = ms(self.wall_time_ms).or(limits.pure.wall_time);
        limits.effect.wall_time = ms(self.repair_wall_time_ms).or(limits.effect.wall_time);
        limits.host_calls = self.host_calls.unwrap_or(limits.host_calls);
        limits.bytes_to_host = self.bytes_to_host.unwrap_or(limits.bytes_to_host);
        limits.rows_to_guest = self.rows_to_guest.unwrap_or(limits.rows_to_guest);
        limits.bytes_to_guest = self.bytes_to_guest.unwrap_or(limits.bytes_to_guest);
        limits.log_lines = self.log_lines.unwrap_or(limits.log_lines);
        limits.log_bytes = self.log_bytes.unwrap_or(limits.log_bytes);
        limits
    }
}

impl Config {
    /// What the sandbox is told of the policies.
    pub fn policy_configs(&self) -> PolicyConfigs {
        let mut defaults = Limits::default();
        defaults.effect.guest_time = Duration::from_secs(self.healing.repair_timeout_secs);
        let limits = self.policies.limits.over(&defaults);
        let by_name = self.policy.iter().map(|(name, policy)| (name.clone(), policy.options(name, &limits))).collect();
        PolicyConfigs { limits, by_name, grant: None }
    }
}

/// A setting's value as policies read it.
fn text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(value) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> PolicyConfigs {
        let config: Config = toml::from_str(text).expect("a configuration");
        config.policy_configs()
    }

    #[test]
    fn what_is_left_out_is_the_default() {
        let configs = parsed(
            "[policies.limits]\nhost_calls = 7\n[policy.mine]\norder = 3\n[policy.mine.settings]\nshare = 0.5\nok = true\n\
             [policy.mine.limits]\nfuel = 9\n[policy.index_rebalance]\nenabled = false\n",
        );
        let mine = configs.of("mine");
        assert_eq!((mine.enabled, mine.order, mine.limits.pure.fuel, mine.limits.host_calls), (true, 3, 9, 7));
        assert_eq!(mine.settings["share"], "0.5");
        assert_eq!(mine.settings["ok"], "true");
        assert_eq!(mine.grant, Grant::default());
        let shipped = configs.of("index_rebalance");
        assert!(!shipped.enabled && shipped.grant.covers("actions.swap"));
        assert_eq!(configs.of("parameter_tuning"), PolicyOptions::shipped("parameter_tuning", &configs.limits));
    }
}
