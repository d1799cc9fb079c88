use std::collections::BTreeMap;

use super::setting::{self, SettingDeclaration};
use super::{Grant, Limits};

/// The operator's configuration of one policy.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyOptions {
    pub enabled: bool,
    /// Policies are asked in ascending order, equal ones by name; of the prioritizers the first one ranks.
    pub order: i32,
    /// By name; checked against what the component declares.
    pub settings: BTreeMap<String, String>,
    pub limits: Limits,
    pub grant: Grant,
    /// SHA-256 in hex: where there are any, only these versions are loaded.
    pub digests: Vec<String>,
}

/// Where the operator says nothing.
const DEFAULT_ORDER: i32 = 100;

impl PolicyOptions {
    /// Of a policy that the configuration does not name.
    pub fn shipped(policy: &str, limits: &Limits) -> Self {
        PolicyOptions {
            enabled: true,
            // Cheap repairs are tried first.
            order: match policy {
                "parameter_tuning" => 10,
                "index_rebalance" => 20,
                _ => DEFAULT_ORDER,
            },
            settings: BTreeMap::new(),
            limits: limits.clone(),
            grant: Grant::shipped(policy),
            digests: Vec::new(),
        }
    }

    pub(super) fn check_digest(&self, digest: &str) -> Result<(), String> {
        if self.digests.is_empty() || self.digests.iter().any(|pinned| pinned.eq_ignore_ascii_case(digest)) {
            return Ok(());
        }
        Err(format!("the configuration pins it to {}", self.digests.join(", ")))
    }

    /// The settings in force.
    pub(super) fn settings_in_force(
        &self,
        declared: &[SettingDeclaration],
    ) -> Result<BTreeMap<String, String>, String> {
        setting::in_force(declared, &self.settings)
    }
}

/// The operator's configuration of all policies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyConfigs {
    /// Of policies whose own are not given, and of the sandbox as a whole.
    pub limits: Limits,
    pub by_name: BTreeMap<String, PolicyOptions>,
    /// Where it is given: what policies that the configuration does not name are granted, instead of nothing.
    pub grant: Option<Grant>,
}

impl PolicyConfigs {
    pub fn of(&self, policy: &str) -> PolicyOptions {
        self.by_name.get(policy).cloned().unwrap_or_else(|| {
            let shipped = PolicyOptions::shipped(policy, &self.limits);
            let grant = self.grant.clone().unwrap_or_else(|| shipped.grant.clone());
            PolicyOptions { grant, ..shipped }
        })
    }

    /// What the pool must be able to hold: the largest of all limits.
    pub(super) fn memory_bytes(&self) -> usize {
        let own = self.by_name.values().map(|options| options.limits.memory_bytes);
        own.fold(self.limits.memory_bytes, usize::max)
    }
}
