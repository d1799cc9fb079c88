use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::cache::CompileCache;
use super::contract::Shape;
use super::lifecycle::{Book, Condemned, Ledger, PoliciesOptions, Registry, now_ms};
use super::load::Loaded;
use super::sandbox::Sandbox;
use super::setting::SettingDeclaration;
use super::{
    CallError, Limits, LoadFailure, PolicyHost, PrioritizerPolicy, Ranked, RepairContext, RepairFailure, StrategyPolicy,
};
use crate::model::{Diagnosis, Issue, RepairResult};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyInfo {
    /// As the component says.
    pub name: String,
    pub kind: PolicyKind,
    /// SHA-256 of the component, in hex: the version.
    pub digest: String,
    pub path: PathBuf,
    pub shape: Shape,
    /// What the operator can set.
    pub settings: Vec<SettingDeclaration>,
    /// The place among its kind: ascending, equal ones by name.
    pub order: i32,
    /// One that the configuration disables is loaded, and not asked.
    pub enabled: bool,
}

/// All loaded policies. Calls run in the sandbox; any number of them at the same time. A call keeps the version that it
/// began with, whatever is loaded meanwhile.
pub struct Policies {
    /// Read for every call, and written only to replace it: nobody holds it while he works.
    pub(super) registry: RwLock<Arc<Registry>>,
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) cache: Option<Arc<CompileCache>>,
    pub(super) options: PoliciesOptions,
    /// For versions that have to take themselves out of service.
    pub(super) me: Weak<Policies>,
    pub(super) book: tokio::sync::Mutex<Book>,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) condemned: Mutex<Vec<Condemned>>,
    /// Wakes whoever watches the directory.
    pub(super) wake: Arc<Notify>,
    pub(super) watched: AtomicBool,
    /// In ms since 1970.
    pub(super) started_ms: u64,
}

impl Policies {
    /// Loads every `*.wasm` of a directory, in the order of the file names. A file that cannot be loaded is
    /// reported and the others serve. With `cache_dir`, compiled components are kept there for the next start.
    /// Nothing is remembered, and no version is ever taken out of service.
    ///
    /// # Errors
    /// Where the directory cannot be read, the cache is not this user's own, or the sandbox cannot be started.
    pub async fn load_dir(
        dir: &Path,
        limits: &Limits,
        cache_dir: Option<&Path>,
    ) -> Result<(Policies, Vec<LoadFailure>)> {
        let mut options = PoliciesOptions::new(dir);
        options.configs.limits = limits.clone();
        options.cache_dir = cache_dir.map(Path::to_owned);
        Policies::load(options).await
    }

    /// The same with options of one's own.
    ///
    /// # Errors
    /// As `load_dir`.
    pub async fn load(mut options: PoliciesOptions) -> Result<(Policies, Vec<LoadFailure>)> {
        options.max_strikes = 0;
        let policies = Policies::prepare(options)?;
        policies.pass(&mut *policies.book.lock().await).await?;
        let failures = policies.failures();
        Ok((policies, failures))
    }

    /// Loads a directory, with what an earlier process remembered of it: a version in quarantine is not loaded, and for a
    /// file that cannot be loaded the last good version of its policy serves. `status` has the failures.
    ///
    /// # Errors
    /// As `load_dir`.
    pub async fn open(options: PoliciesOptions) -> Result<Arc<Policies>> {
        let prepared = Policies::prepare(options)?;
        let policies = Arc::new_cyclic(|me| Policies { me: me.clone(), ..prepared });
        let mut book = policies.book.lock().await;
        policies.recall(&mut book);
        policies.pass(&mut book).await?;
        drop(book);
        Ok(policies)
    }

    fn prepare(options: PoliciesOptions) -> Result<Policies> {
        let sandbox = Sandbox::new(options.configs.clone())?;
        let cache = match &options.cache_dir {
            Some(dir) => Some(Arc::new(CompileCache::open(dir, &sandbox.engine)?)),
            None => None,
        };
        Ok(Policies {
            registry: RwLock::new(Arc::new(Registry::default())),
            sandbox,
            cache,
            options,
            me: Weak::new(),
            book: tokio::sync::Mutex::new(Book::default()),
            ledger: Mutex::new(Ledger::default()),
            condemned: Mutex::new(Vec::new()),
            wake: Arc::new(Notify::new()),
            watched: AtomicBool::new(false),
            started_ms: now_ms(),
        })
    }

    pub fn options(&self) -> &PoliciesOptions {
        &self.options
    }

    /// The strategies, in their order.
    pub fn strategies(&self) -> Vec<PolicyInfo> {
        self.infos(PolicyKind::Strategy)
    }

    /// The prioritizers, in their order; the first one ranks.
    pub fn prioritizers(&self) -> Vec<PolicyInfo> {
        self.infos(PolicyKind::Prioritizer)
    }

    fn infos(&self, kind: PolicyKind) -> Vec<PolicyInfo> {
        let registry = self.registry();
        let mut infos: Vec<PolicyInfo> =
            registry.asked().map(Loaded::info).filter(|info| info.kind == kind).cloned().collect();
        infos.sort_by(|a, b| (a.order, &a.name).cmp(&(b.order, &b.name)));
        infos
    }

    /// A strategy in its present version, to keep for a whole repair.
    pub fn strategy(&self, name: &str) -> Result<Arc<StrategyPolicy>, CallError> {
        let registry = self.registry();
        let found = registry.asked().find_map(|policy| match policy {
            Loaded::Strategy(policy) if policy.info().name == name => Some(Arc::clone(policy)),
            _ => None,
        });
        found.ok_or_else(|| CallError::NoSuchPolicy(name.to_owned()))
    }

    /// The prioritizer of this name, or the first one.
    pub fn prioritizer(&self, name: Option<&str>) -> Result<Arc<PrioritizerPolicy>, CallError> {
        let registry = self.registry();
        let prioritizers = registry.asked().filter_map(|policy| match policy {
            Loaded::Prioritizer(policy) if name.is_none_or(|name| policy.info().name == name) => Some(policy),
            _ => None,
        });
        let first = prioritizers.min_by(|a, b| {
            let (a, b) = (a.info(), b.info());
            (a.order, &a.name).cmp(&(b.order, &b.name))
        });
        first.cloned().ok_or_else(|| CallError::NoSuchPolicy(name.unwrap_or("(any prioritizer)").to_owned()))
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

    /// What serves now.
    pub(super) fn registry(&self) -> Arc<Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a thread watches the directory; it then takes care of everything that takes time.
    pub(super) fn is_watched(&self) -> bool {
        self.watched.load(Relaxed)
    }
}
