//! The versions of the contract that components are built for. Each has a module of its own, which translates between
//! the host's types and those of its WIT; what is above does not know versions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use async_trait::async_trait;
use wasmtime::component::Component;
use wasmtime::{Engine, Store};

use super::component_types::ComponentTypes;
use super::setting::SettingDeclaration;
use super::state::CallState;
use super::{PolicyKind, RepairContext, RepairFailure, v0_1};
use crate::model::{Diagnosis, Issue, RepairResult};

pub(super) const PACKAGE: &str = "pgheal:policy/";

/// A released version of `wit/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum ContractVersion {
    #[serde(rename = "0.1")]
    V0_1,
}

impl fmt::Display for ContractVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ContractVersion::V0_1 => "0.1",
        })
    }
}

/// A strategy's functions, in the host's types. Every call is in a store of its own.
#[async_trait]
pub(super) trait StrategyGuest: Send + Sync {
    async fn name(&self, store: &mut Store<CallState>) -> wasmtime::Result<String>;
    async fn settings(&self, store: &mut Store<CallState>) -> wasmtime::Result<Vec<SettingDeclaration>>;
    async fn can_repair(&self, store: &mut Store<CallState>, issue: &Issue) -> wasmtime::Result<bool>;
    async fn propose(
        &self,
        store: &mut Store<CallState>,
        issue: &Issue,
        context: &RepairContext,
    ) -> wasmtime::Result<String>;
    async fn repair(
        &self,
        store: &mut Store<CallState>,
        issue: &Issue,
        context: &RepairContext,
    ) -> wasmtime::Result<Result<RepairResult, RepairFailure>>;
    async fn validate(
        &self,
        store: &mut Store<CallState>,
        issue: &Issue,
        result: &RepairResult,
    ) -> wasmtime::Result<bool>;
    async fn rollback(
        &self,
        store: &mut Store<CallState>,
        result: &RepairResult,
    ) -> wasmtime::Result<Result<(), RepairFailure>>;
    async fn estimated_duration(&self, store: &mut Store<CallState>, issue: &Issue) -> wasmtime::Result<u64>;
    /// Its most frequent call, how long the instance took and how long the call.
    async fn timed(&self, store: &mut Store<CallState>, issue: &Issue) -> wasmtime::Result<(Duration, Duration)>;
}

/// A prioritizer's functions, in the host's types.
#[async_trait]
pub(super) trait PrioritizerGuest: Send + Sync {
    async fn name(&self, store: &mut Store<CallState>) -> wasmtime::Result<String>;
    async fn settings(&self, store: &mut Store<CallState>) -> wasmtime::Result<Vec<SettingDeclaration>>;
    async fn compute_priority(&self, store: &mut Store<CallState>, issue: &Issue) -> wasmtime::Result<f64>;
    /// Position, priority, reason: as the guest says, unchecked.
    async fn prioritize(
        &self,
        store: &mut Store<CallState>,
        diagnoses: &[Diagnosis],
    ) -> wasmtime::Result<Vec<(u32, f64, String)>>;
    /// Its most frequent call, how long the instance took and how long the call.
    async fn timed(&self, store: &mut Store<CallState>, issue: &Issue) -> wasmtime::Result<(Duration, Duration)>;
}

/// One version of the contract.
pub(super) trait Contract: Send + Sync {
    /// The interfaces that a policy of this kind may import.
    fn interfaces(&self, kind: PolicyKind) -> &'static [&'static str];
    fn strategy(&self, component: &Component) -> Result<Arc<dyn StrategyGuest>>;
    fn prioritizer(&self, component: &Component) -> Result<Arc<dyn PrioritizerGuest>>;
    /// The most frequent call of this kind by bare wasmtime, on `engine`, which neither meters nor interrupts.
    fn bare(&self, engine: &Engine, bytes: &[u8], kind: PolicyKind, function: &str, issue: &Issue) -> Result<Bare>;
}

/// A fresh instance and one call.
pub(super) type Bare = Box<dyn Fn() -> Result<()> + Send>;

/// All versions that this host speaks.
pub(super) struct Contracts {
    v0_1: v0_1::Contract0_1,
}

impl Contracts {
    pub(super) fn new(engine: &Engine) -> Result<Self> {
        Ok(Contracts { v0_1: v0_1::Contract0_1::new(engine)? })
    }

    pub(super) fn of(&self, version: ContractVersion) -> &dyn Contract {
        match version {
            ContractVersion::V0_1 => &self.v0_1,
        }
    }
}

/// What a component is, by its type alone: nothing of it runs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Shape {
    pub kind: PolicyKind,
    pub contract: ContractVersion,
    /// Functions as `interface.function`.
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

impl Shape {
    /// # Errors
    /// Where the component is no policy, or is built for a contract that this host does not speak.
    pub(super) fn of(types: ComponentTypes) -> Result<Self> {
        let (mut imports, mut contract) = (Vec::new(), None);
        for import in types.imports {
            let Some(rest) = import.name.strip_prefix(PACKAGE) else {
                imports.push(import.name);
                continue;
            };
            let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
            let found = version_of(version)?;
            ensure!(contract.is_none_or(|contract| contract == found), "it imports two versions of the contract");
            contract = Some(found);
            match import.functions {
                Some(functions) => imports.extend(functions.iter().map(|function| format!("{interface}.{function}"))),
                None => imports.push(interface.to_owned()),
            }
        }
        let kind = kind_of(&types.exports)?;
        let Some(contract) = contract else {
            bail!("it imports nothing of {PACKAGE}: which version of the contract it is built for cannot be told");
        };
        imports.sort_unstable();
        Ok(Shape { kind, contract, imports, exports: types.exports })
    }

    /// # Errors
    /// Where the component wants an interface that its kind of policy does not have; named.
    pub(super) fn check_imports(&self, contract: &dyn Contract) -> Result<()> {
        let interfaces = contract.interfaces(self.kind);
        for import in &self.imports {
            // Foreign names (`wasi:cli/environment@0.2.0`) hold a colon.
            let interface = import.split('.').next().unwrap_or(import);
            ensure!(
                !import.contains(':') && interfaces.contains(&interface),
                "it imports {import}, which is not granted to a {}",
                self.kind
            );
        }
        Ok(())
    }
}

fn version_of(version: &str) -> Result<ContractVersion> {
    let mut numbers = version.split('.');
    match (numbers.next(), numbers.next()) {
        (Some("0"), Some("1")) => Ok(ContractVersion::V0_1),
        _ => bail!("it is built for contract {version:?}; this pgheal speaks 0.1"),
    }
}

pub(super) fn kind_of(exports: &[String]) -> Result<PolicyKind> {
    let has = |name: &str| exports.iter().any(|export| export == name);
    match (has("repair"), has("prioritize")) {
        (true, false) => Ok(PolicyKind::Strategy),
        (false, true) => Ok(PolicyKind::Prioritizer),
        (true, true) => bail!("it exports both repair and prioritize; a policy is one of both"),
        (false, false) => bail!(
            "it exports neither repair (a strategy) nor prioritize (a prioritizer) but {}",
            if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") }
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_told_from_the_imports() {
        let check = |version: &str, expected: Option<ContractVersion>| {
            assert_eq!(version_of(version).ok(), expected, "{version}");
        };
        check("0.1.0", Some(ContractVersion::V0_1));
        check("0.1.7", Some(ContractVersion::V0_1));
        check("0.10.0", None);
        check("0.2.0", None);
        check("1.1.0", None);
        check("", None);
    }
}
