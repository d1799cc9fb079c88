//! Contract 0.1: `wit/policy.wit`, package `pgheal:policy@0.1.0`.

mod bare;
mod bindings;
mod conversions;
mod imports;
mod prioritizer;
mod strategy;

use std::sync::Arc;

use anyhow::Result;
use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};

use super::PolicyKind;
use super::contract::{Bare, Contract, PrioritizerGuest, StrategyGuest};
use super::state::CallState;
use crate::model::Issue;
use bindings::prioritizer::{Prioritizer, PrioritizerPre};
use bindings::strategy::{Strategy, StrategyPre, pgheal::policy::context};

const STRATEGY_IMPORTS: &[&str] = &["types", "log", "settings", "database", "measure", "actions", "context"];
/// `context` has no functions; what the SDK builds names it anyhow.
const PRIORITIZER_IMPORTS: &[&str] = &["types", "log", "settings", "context"];

pub(super) struct Contract0_1 {
    /// What a strategy may import. No WASI: no clock, no files, no network, no randomness.
    strategies: Linker<CallState>,
    /// A prioritizer thinks, reads its settings and writes to the log, no more.
    prioritizers: Linker<CallState>,
}

impl Contract0_1 {
    pub(super) fn new(engine: &Engine) -> Result<Self> {
        let mut strategies = Linker::new(engine);
        Strategy::add_to_linker::<_, HasSelf<_>>(&mut strategies, |state| state)?;
        let mut prioritizers = Linker::new(engine);
        Prioritizer::add_to_linker::<_, HasSelf<_>>(&mut prioritizers, |state| state)?;
        context::add_to_linker::<_, HasSelf<_>>(&mut prioritizers, |state| state)?;
        Ok(Contract0_1 { strategies, prioritizers })
    }
}

impl Contract for Contract0_1 {
    fn interfaces(&self, kind: PolicyKind) -> &'static [&'static str] {
        match kind {
            PolicyKind::Strategy => STRATEGY_IMPORTS,
            PolicyKind::Prioritizer => PRIORITIZER_IMPORTS,
        }
    }

    fn strategy(&self, component: &Component) -> Result<Arc<dyn StrategyGuest>> {
        Ok(Arc::new(StrategyPre::new(self.strategies.instantiate_pre(component)?)?))
    }

    fn prioritizer(&self, component: &Component) -> Result<Arc<dyn PrioritizerGuest>> {
        Ok(Arc::new(PrioritizerPre::new(self.prioritizers.instantiate_pre(component)?)?))
    }

    fn bare(&self, engine: &Engine, bytes: &[u8], kind: PolicyKind, function: &str, issue: &Issue) -> Result<Bare> {
        let issue = conversions::issue(issue);
        match kind {
            PolicyKind::Strategy => bare::bare::<bool>(engine, bytes, function, issue),
            PolicyKind::Prioritizer => bare::bare::<f64>(engine, bytes, function, issue),
        }
    }
}
