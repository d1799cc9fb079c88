//! Putting a version into the directory: a new one, or one from before.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use super::file::{self, Content};
use super::memory::refusal;
use super::state::Origin;
use super::store::{Intent, Store, copy_signature, file_of, may_create, remembered_file};
use super::{durable, file_name, now_ms};
use crate::components::load::{self, Loaded};
use crate::components::{LoadFailure, LoadStep, Policies, PolicyKind};
use crate::failpoint;

/// Whoever watches the directory has to read it, whatever user that is.
const POLICY_FILE_MODE: u32 = 0o644;

/// A version that was put into the directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Placed {
    pub name: String,
    pub kind: PolicyKind,
    /// SHA-256 in hex.
    pub digest: String,
    /// The name of its file in the directory.
    pub file: String,
    /// In ms since 1970.
    pub placed_ms: u64,
    /// The version that served, or would have, before.
    pub before: Option<String>,
}

impl Policies {
    /// Verifies a component in this process' sandbox and puts it into the directory: into the file that holds the
    /// policy, or else into `NAME.wasm`. `force` lifts a quarantine of this version.
    ///
    /// # Errors
    /// `LoadFailure` where the component cannot serve; anything else where the directory cannot be written to.
    pub async fn deploy(&self, source: &Path, force: bool) -> Result<Placed> {
        let book = self.book.lock().await;
        let fails = |step, digest: Option<&str>, reason: String| LoadFailure {
            path: source.to_owned(),
            digest: digest.map(str::to_owned),
            step,
            reason,
        };
        let content = file::read(None, source, self.limit_bytes())
            .map_err(|error| fails(LoadStep::Read, None, format!("{error:#}")))?;
        if let Some(mut failure) = refusal(&book.state, source, &content.digest).filter(|_| !force) {
            failure.reason.push_str(" (--force lifts that)");
            return Err(failure.into());
        }
        let loaded = self.verify(source, &content).await?;
        let name = &loaded.info().name;
        let file = self.registry().named(name).map(|slot| file_name(slot.path()));
        let file = file.or_else(|| remembered_file(&book.state, name)).unwrap_or_else(|| file_of(name));
        let path = self.options.directory.join(&file);
        if let Some(other) = self.registry().at(&path).map(|slot| slot.name().to_owned()).filter(|other| other != name)
        {
            let reason = format!("the policy {name} would go into {file}, which holds the policy {other}");
            return Err(fails(LoadStep::Register, Some(&content.digest), reason).into());
        }
        let from = std::path::absolute(source).unwrap_or_else(|_| source.to_owned());
        let intent = Intent {
            digest: content.digest.clone(),
            origin: Origin::Deploy,
            force,
            from: Some(from.display().to_string()),
            when_ms: now_ms(),
        };
        let before = before(&book.state, self, name);
        copy_signature(source, &path, POLICY_FILE_MODE)?;
        self.place(&loaded, &path, &content.bytes, &intent, before, ["deploy_before_rename", "deploy_after_rename"])
    }

    /// Puts a version from before into the policy's file: the one that `to` begins the digest of, or else the one before
    /// the version that serves.
    ///
    /// # Errors
    /// Where there is no such version, it cannot serve any more, or the directory cannot be written to.
    pub async fn roll_back(&self, name: &str, to: Option<&str>) -> Result<Placed> {
        let book = self.book.lock().await;
        let store = book.store.as_ref().with_context(|| match &book.forgetful {
            Some(reason) => format!("no versions are remembered: {reason}"),
            None => format!("no versions are remembered in {}", self.options.state_directory().display()),
        })?;
        let policy = book.state.policies.get(name);
        let digest = match to {
            Some(beginning) => chosen(store, beginning)?,
            None => {
                let policy = policy.with_context(|| format!("nothing is remembered of a policy {name}"))?;
                policy
                    .version_before_active()
                    .with_context(|| format!("no version of {name} before the one that serves is remembered"))?
                    .to_owned()
            }
        };
        let bytes = store.version(&digest, self.limit_bytes())?;
        let file = self.registry().named(name).map(|slot| file_name(slot.path()));
        let file = file.or_else(|| remembered_file(&book.state, name)).unwrap_or_else(|| file_of(name));
        let path = self.options.directory.join(&file);
        if let Some(failure) = refusal(&book.state, &path, &digest) {
            bail!("version {digest}: {}", failure.reason);
        }
        let loaded = self.load_kept(store, name, &path, &digest).await?;
        let intent = Intent { digest, origin: Origin::Rollback, force: false, from: None, when_ms: now_ms() };
        let before = before(&book.state, self, name);
        copy_signature(&store.version_path(&intent.digest)?, &path, POLICY_FILE_MODE)?;
        self.place(&loaded, &path, &bytes, &intent, before, ["rollback_before_rename", "rollback_after_rename"])
    }

    async fn verify(&self, source: &Path, content: &Content) -> Result<Loaded, LoadFailure> {
        load::load(&self.sandbox, self.cache.as_ref(), &self.options.trust, source, &content.bytes, &content.digest)
            .await
    }

    fn place(
        &self,
        loaded: &Loaded,
        path: &Path,
        bytes: &[u8],
        intent: &Intent,
        before: Option<String>,
        failpoints: [&str; 2],
    ) -> Result<Placed> {
        let info = loaded.info();
        if let Err(error) = self.announce(intent) {
            ensure!(!intent.force, "the quarantine cannot be lifted: {error:#}");
            tracing::warn!("the history will not tell where this version came from: {error:#}");
        }
        let placed_ms = now_ms();
        durable::write_with(path, bytes, POLICY_FILE_MODE, || failpoint::hit(failpoints[0]))
            .with_context(|| format!("{} cannot be written", path.display()))?;
        failpoint::hit(failpoints[1]);
        let placed = Placed {
            name: info.name.clone(),
            kind: info.kind,
            digest: info.digest.clone(),
            file: file_name(path),
            placed_ms,
            before,
        };
        Ok(placed)
    }

    /// Tells whoever serves the directory what is coming.
    fn announce(&self, intent: &Intent) -> Result<()> {
        let (dir, policies) = (self.options.state_directory(), &self.options.directory);
        if may_create(policies) {
            return Store::create(&dir, policies)?.announce(intent);
        }
        Store::open(&dir, policies)?.with_context(|| format!("{} is not there", dir.display()))?.announce(intent)
    }
}

/// The one kept version whose digest begins so.
fn chosen(store: &Store, beginning: &str) -> Result<String> {
    let mut found = store.versions_beginning(beginning);
    match (found.len(), found.pop()) {
        (1, Some(digest)) => Ok(digest),
        (0, _) => bail!("no version {beginning} is kept"),
        (count, _) => bail!("{count} kept versions begin with {beginning}; name more of the digest"),
    }
}

fn before(state: &super::state::State, policies: &Policies, name: &str) -> Option<String> {
    let remembered = state.policies.get(name).filter(|policy| policy.retired_ms.is_none()).and_then(|p| p.active());
    let remembered = remembered.map(str::to_owned);
    remembered.or_else(|| policies.registry().named(name).map(|slot| slot.digest().to_owned()))
}
