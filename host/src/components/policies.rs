use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Result;

use super::cache::CompileCache;
use super::load::{Loaded, load_file, policy_files};
use super::sandbox::Sandbox;
use super::{
    CallError, Limits, LoadFailure, LoadStep, PolicyHost, PrioritizerPolicy, Ranked, RepairContext, RepairFailure,
    StrategyPolicy, Trust,
};
use crate::model::{Diagnosis, Issue, RepairResult};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    Strategy,
    Prioritizer,
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PolicyKind::Strategy => "strategy",
            PolicyKind::Prioritizer => "prioritizer",
        })
    }
}

/// What is known of a loaded policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyInfo {
    /// As the component says.
    pub name: String,
    pub kind: PolicyKind,
    /// SHA-256 of the component, in hex: the version.
    pub digest: String,
    pub path: PathBuf,
}

/// All loaded policies. Calls run in the sandbox; any number of them at the same time.
pub struct Policies {
    /// Replaced as a whole, so that a reader sees one consistent set.
    registry: RwLock<Arc<Registry>>,
}

#[derive(Default)]
struct Registry {
    strategies: Vec<Arc<StrategyPolicy>>,
    prioritizers: Vec<Arc<PrioritizerPolicy>>,
}

impl Policies {
    /// Loads every `*.wasm` of a directory, in the order of the file names. A file that cannot be loaded is
    /// reported and the others serve. With `cache_dir`, compiled components are kept there for the next start.
    ///
    /// # Errors
    /// Where the directory cannot be read, the cache is not this user's own, or the sandbox cannot be started.
    pub async fn load_dir(
        dir: &Path,
        limits: &Limits,
        cache_dir: Option<&Path>,
    ) -> Result<(Policies, Vec<LoadFailure>)> {
        Policies::load_trusted(dir, limits, cache_dir, &Trust::default()).await
    }

    /// The same where components have to be signed, or are pinned.
    pub async fn load_trusted(
        dir: &Path,
        limits: &Limits,
        cache_dir: Option<&Path>,
        trust: &Trust,
    ) -> Result<(Policies, Vec<LoadFailure>)> {
        let sandbox = Sandbox::new(limits)?;
        let cache = match cache_dir {
            Some(dir) => Some(Arc::new(CompileCache::open(dir, &sandbox.engine)?)),
            None => None,
        };
        let mut registry = Registry::default();
        let mut failures = Vec::new();
        for path in policy_files(dir)? {
            match load_file(&sandbox, cache.as_ref(), trust, dir, &path).await.and_then(|loaded| registry.add(loaded)) {
                Ok(()) => {}
                Err(failure) => failures.push(failure),
            }
        }
        Ok((Policies { registry: RwLock::new(Arc::new(registry)) }, failures))
    }

    /// The strategies, in the order of their files.
    pub fn strategies(&self) -> Vec<PolicyInfo> {
        self.registry().strategies.iter().map(|policy| policy.info.clone()).collect()
    }

    /// The prioritizers, in the order of their files; the first one ranks.
    pub fn prioritizers(&self) -> Vec<PolicyInfo> {
        self.registry().prioritizers.iter().map(|policy| policy.info.clone()).collect()
    }

    /// A strategy in its present version, to keep for a whole repair.
    pub fn strategy(&self, name: &str) -> Result<Arc<StrategyPolicy>, CallError> {
        let registry = self.registry();
        let found = registry.strategies.iter().find(|policy| policy.info.name == name);
        found.cloned().ok_or_else(|| CallError::NoSuchPolicy(name.to_owned()))
    }

    /// The prioritizer of this name, or the first one.
    pub fn prioritizer(&self, name: Option<&str>) -> Result<Arc<PrioritizerPolicy>, CallError> {
        let registry = self.registry();
        let found = registry.prioritizers.iter().find(|policy| name.is_none_or(|name| policy.info.name == name));
        found.cloned().ok_or_else(|| CallError::NoSuchPolicy(name.unwrap_or("(any prioritizer)").to_owned()))
    }

    pub async fn can_repair(&self, name: &str, issue: &Issue) -> Result<bool, CallError> {
        self.strategy(name)?.can_repair(issue).await
    }

    pub async fn propose(
        &self,
        name: &str,
        issue: &Issue,
        context: &RepairContext,
        host: Arc<dyn PolicyHost>,
    ) -> Result<String, CallError> {
        self.strategy(name)?.propose(issue, context, host).await
    }

    pub async fn repair(
        &self,
        name: &str,
        issue: &Issue,
        context: &RepairContext,
        host: Arc<dyn PolicyHost>,
    ) -> Result<Result<RepairResult, RepairFailure>, CallError> {
        self.strategy(name)?.repair(issue, context, host).await
    }

    pub async fn validate(
        &self,
        name: &str,
        issue: &Issue,
        result: &RepairResult,
        host: Arc<dyn PolicyHost>,
    ) -> Result<bool, CallError> {
        self.strategy(name)?.validate(issue, result, host).await
    }

    pub async fn rollback(
        &self,
        name: &str,
        issue: &Issue,
        result: &RepairResult,
        host: Arc<dyn PolicyHost>,
    ) -> Result<Result<(), RepairFailure>, CallError> {
        self.strategy(name)?.rollback(issue, result, host).await
    }

    pub async fn estimated_duration_ms(
        &self,
        name: &str,
        issue: &Issue,
        host: Arc<dyn PolicyHost>,
    ) -> Result<u64, CallError> {
        self.strategy(name)?.estimated_duration_ms(issue, host).await
    }

    /// Ranks with the first prioritizer.
    pub async fn prioritize(&self, diagnoses: &[Diagnosis]) -> Result<Vec<Ranked>, CallError> {
        self.prioritizer(None)?.prioritize(diagnoses).await
    }

    pub async fn compute_priority(&self, issue: &Issue) -> Result<f64, CallError> {
        self.prioritizer(None)?.compute_priority(issue).await
    }

    fn registry(&self) -> Arc<Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Registry {
    fn add(&mut self, loaded: Loaded) -> Result<(), LoadFailure> {
        let name = &loaded.info().name;
        let mut known = self
            .strategies
            .iter()
            .map(|policy| &policy.info)
            .chain(self.prioritizers.iter().map(|policy| &policy.info));
        if let Some(first) = known.find(|info| info.name == *name) {
            let info = loaded.info();
            return Err(LoadFailure {
                path: info.path.clone(),
                digest: Some(info.digest.clone()),
                step: LoadStep::Register,
                reason: format!("the name {name} is taken by {}", first.path.display()),
            });
        }
        match loaded {
            Loaded::Strategy(policy) => self.strategies.push(Arc::new(policy)),
            Loaded::Prioritizer(policy) => self.prioritizers.push(Arc::new(policy)),
        }
        Ok(())
    }
}
