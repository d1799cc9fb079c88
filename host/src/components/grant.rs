use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::HostError;
use crate::model::IndexName;

/// What a policy may do through the host. A policy that is not told of may read measurements and write to the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grant {
    /// Functions of the contract's interface `actions`, for example `build-beside`.
    pub actions: BTreeSet<String>,
    /// The role as which the policy's own SQL logs in; none: no SQL.
    pub sql_role: Option<String>,
    /// The environment variable that holds the role's password.
    pub sql_password_env: Option<String>,
    /// Without it, the policy's SQL is READ ONLY, whatever the role was granted.
    pub sql_write: bool,
    /// The schemas whose indexes it may work on; none named: all.
    pub schemas: BTreeSet<String>,
}

/// Every function of `actions`.
pub const ACTIONS: [&str; 9] = [
    "build-beside",
    "compare",
    "swap",
    "discard",
    "reindex-concurrently",
    "vacuum",
    "analyze",
    "reinsert-rows",
    "set-parameter",
];
/// Scans with a parameter of their own cost time and change nothing; granted like the actions.
pub const SCANS: &str = "validate-on-scans";

const INDEX_REBALANCE: &[&str] =
    &["build-beside", "compare", "swap", "discard", "reindex-concurrently", "vacuum", "analyze", "reinsert-rows"];
const PARAMETER_TUNING: &[&str] = &["set-parameter", SCANS];

impl Grant {
    /// What the policies that come with pgheal need; nothing for others.
    pub fn shipped(policy: &str) -> Self {
        let actions = match policy {
            "index_rebalance" => INDEX_REBALANCE,
            "parameter_tuning" => PARAMETER_TUNING,
            _ => &[],
        };
        Grant { actions: actions.iter().map(|action| (*action).to_owned()).collect(), ..Grant::default() }
    }

    /// Everything of the contract, without SQL.
    pub fn everything() -> Self {
        let actions = ACTIONS.iter().chain([&SCANS]).map(|action| (*action).to_owned()).collect();
        Grant { actions, ..Grant::default() }
    }

    /// The first thing in the grant that does not exist.
    pub fn complaint(&self) -> Option<String> {
        let unknown = self.actions.iter().find(|action| !ACTIONS.contains(&action.as_str()) && *action != SCANS);
        if let Some(unknown) = unknown {
            return Some(format!("there is no action {unknown}; there are {}, {SCANS}", ACTIONS.join(", ")));
        }
        if self.sql_role.is_none() && (self.sql_password_env.is_some() || self.sql_write) {
            return Some("sql_password_env and sql_write mean nothing without sql_role".to_owned());
        }
        None
    }

    /// Whether a function that a component imports (`interface.function`) is granted.
    pub fn covers(&self, import: &str) -> bool {
        match import.split_once('.') {
            Some(("actions", action)) => self.actions.contains(action),
            Some(("database", _)) => self.sql_role.is_some(),
            _ => true,
        }
    }

    pub(super) fn check_action(&self, policy: &str, action: &str) -> Result<(), HostError> {
        if self.actions.contains(action) {
            return Ok(());
        }
        Err(HostError::Denied(format!("actions.{action} to {policy} (see [policy.{policy}.grant] actions)")))
    }

    pub(super) fn check_sql(&self, policy: &str) -> Result<(), HostError> {
        if self.sql_role.is_some() {
            return Ok(());
        }
        Err(HostError::Denied(format!("SQL to {policy} (see [policy.{policy}.grant] sql_role)")))
    }

    pub(super) fn check_schema(&self, policy: &str, index: &IndexName) -> Result<(), HostError> {
        if self.schemas.is_empty() || self.schemas.contains(&index.schema) {
            return Ok(());
        }
        Err(HostError::Denied(format!(
            "indexes of schema {} to {policy} (see [policy.{policy}.grant] schemas)",
            index.schema
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_granted_unasked() {
        let check = |policy: &str, import: &str, expected: bool| {
            assert_eq!(Grant::shipped(policy).covers(import), expected, "{policy} {import}");
        };
        check("house_rule", "actions.swap", false);
        check("house_rule", "database.query", false);
        check("house_rule", "measure.health", true);
        check("index_rebalance", "actions.swap", true);
        check("index_rebalance", "actions.set-parameter", false);
        check("parameter_tuning", "actions.set-parameter", true);
    }

    #[test]
    fn what_does_not_exist_cannot_be_granted() {
        let check = |grant: Grant, expected: Option<&str>| {
            let found = grant.complaint();
            assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
            assert!(found.is_none_or(|found| found.contains(expected.unwrap_or_default())));
        };
        check(Grant::everything(), None);
        check(Grant { actions: ["drop-database".to_owned()].into(), ..Grant::default() }, Some("drop-database"));
        check(Grant { sql_write: true, ..Grant::default() }, Some("sql_role"));
    }
}
