use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::bindings::{prioritizer::PrioritizerPre, strategy::StrategyPre};
use super::cache::CompileCache;
use super::sandbox::Sandbox;
use super::{
    LoadFailure, LoadStep, PolicyInfo, PolicyKind, PrioritizerPolicy, RefusingHost, StrategyPolicy, Trust, hex,
};
use crate::model::{AccessMethod, IndexName, Issue, IssueKind, Severity};

const STRATEGY_IMPORTS: &[&str] = &["types", "log", "database", "measure", "actions", "context"];
/// `context` has no functions; what the SDK builds names it anyhow.
const PRIORITIZER_IMPORTS: &[&str] = &["types", "log", "context"];
pub(super) const PACKAGE: &str = "pgheal:policy/";

pub(super) enum Loaded {
    Strategy(StrategyPolicy),
    Prioritizer(PrioritizerPolicy),
}

impl Loaded {
    pub(super) fn info(&self) -> &PolicyInfo {
        match self {
            Loaded::Strategy(policy) => &policy.info,
            Loaded::Prioritizer(policy) => &policy.info,
        }
    }
}

/// The files of a directory that are meant to be policies, by name.
pub(super) fn policy_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read the policy directory {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Takes a file through every step; what comes out serves.
pub(super) async fn load_file(
    sandbox: &Arc<Sandbox>,
    cache: Option<&Arc<CompileCache>>,
    trust: &Trust,
    dir: &Path,
    path: &Path,
) -> Result<Loaded, LoadFailure> {
    let mut failure = LoadFailure { path: path.to_owned(), digest: None, step: LoadStep::Read, reason: String::new() };
    match steps(sandbox, cache, trust, dir, path, &mut failure).await {
        Ok(loaded) => Ok(loaded),
        Err(error) => {
            failure.reason = format!("{error:#}");
            Err(failure)
        }
    }
}

async fn steps(
    sandbox: &Arc<Sandbox>,
    cache: Option<&Arc<CompileCache>>,
    trust: &Trust,
    dir: &Path,
    path: &Path,
    at: &mut LoadFailure,
) -> Result<Loaded> {
    let limit = sandbox.limits.component_bytes;
    let (dir, file) = (dir.to_owned(), path.to_owned());
    let bytes = tokio::task::spawn_blocking(move || read(&dir, &file, limit)).await??;
    let digest = hex(&Sha256::digest(&bytes));
    at.digest = Some(digest.clone());

    at.step = LoadStep::Trust;
    trust.check(path, &bytes, &digest).map_err(anyhow::Error::msg)?;

    at.step = LoadStep::Compile;
    let component = compile(sandbox, cache.cloned(), bytes, digest.clone()).await?;

    at.step = LoadStep::Link;
    let kind = kind_of(&sandbox.engine, &component)?;
    check_imports(sandbox, &component, kind)?;
    let info = PolicyInfo { name: String::new(), kind, digest, path: path.to_owned() };
    // Until the component has told its name, the log knows it by its file.
    let file_name: Arc<str> = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned()).into();
    match kind {
        PolicyKind::Strategy => {
            let pre = StrategyPre::new(sandbox.strategies.instantiate_pre(&component)?)?;
            let mut policy = StrategyPolicy { info, name: file_name, pre, sandbox: sandbox.clone() };
            at.step = LoadStep::Describe;
            policy.info.name = checked_name(policy.describe().await?)?;
            policy.name = policy.info.name.as_str().into();
            at.step = LoadStep::Trust;
            trust.check_pin(&policy.info.name, &policy.info.digest).map_err(anyhow::Error::msg)?;
            at.step = LoadStep::SelfCheck;
            policy.can_repair(&sample_issue()).await?;
            Ok(Loaded::Strategy(policy))
        }
        PolicyKind::Prioritizer => {
            let pre = PrioritizerPre::new(sandbox.prioritizers.instantiate_pre(&component)?)?;
            let host = Arc::new(RefusingHost::default());
            let mut policy = PrioritizerPolicy { info, name: file_name, pre, sandbox: sandbox.clone(), host };
            at.step = LoadStep::Describe;
            policy.info.name = checked_name(policy.describe().await?)?;
            policy.name = policy.info.name.as_str().into();
            at.step = LoadStep::Trust;
            trust.check_pin(&policy.info.name, &policy.info.digest).map_err(anyhow::Error::msg)?;
            at.step = LoadStep::SelfCheck;
            policy.compute_priority(&sample_issue()).await?;
            Ok(Loaded::Prioritizer(policy))
        }
    }
}

/// Reads a component's file, and says what is wrong where it cannot be one.
fn read(dir: &Path, path: &Path, limit_bytes: u64) -> Result<Vec<u8>> {
    let target = fs::canonicalize(path).context("it cannot be found")?;
    let home = fs::canonicalize(dir).context("the policy directory cannot be found")?;
    ensure!(target.starts_with(&home), "it is a link to {}, outside of the policy directory", target.display());
    // Looked at before it is opened: opening a pipe would wait for its other end.
    ensure!(fs::metadata(&target)?.is_file(), "it is not a regular file");
    let file = fs::File::open(&target)?;
    let mut bytes = Vec::new();
    file.take(limit_bytes + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= limit_bytes, "it is larger than {limit_bytes} bytes");
    check_header(&bytes)?;
    Ok(bytes)
}

fn check_header(bytes: &[u8]) -> Result<()> {
    match bytes {
        [] => bail!("it is empty"),
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => bail!(
            "it is a core WebAssembly module and not a component; `cargo xtask guests` or `wasm-tools component new` \
             makes one of it"
        ),
        [0, b'a', b's', b'm', version, 0, 1, 0, ..] => {
            bail!("it is a component of format version {version}, this host reads version 13")
        }
        [0, b'a', b's', b'm', ..] => bail!("it is cut off after its first {} bytes", bytes.len()),
        _ if std::str::from_utf8(&bytes[..bytes.len().min(256)]).is_ok_and(|text| !text.contains('\0')) => {
            bail!("it is text and not a WebAssembly component")
        }
        _ => bail!("it is not WebAssembly: the file does not begin with \\0asm"),
    }
}

/// From the cache or by compiling; both off the async threads.
async fn compile(
    sandbox: &Arc<Sandbox>,
    cache: Option<Arc<CompileCache>>,
    bytes: Vec<u8>,
    digest: String,
) -> Result<Component> {
    let engine = sandbox.engine.clone();
    tokio::task::spawn_blocking(move || {
        let Some(cache) = cache else { return Ok(Component::from_binary(&engine, &bytes)?) };
        if let Some(component) = cache.get(&engine, &digest) {
            return Ok(component);
        }
        let component = Component::from_binary(&engine, &bytes)?;
        if let Err(error) = cache.put(&digest, &component) {
            tracing::warn!("a compiled policy cannot be kept for the next start: {error:#}");
        }
        Ok(component)
    })
    .await?
}

pub(super) fn kind_of(engine: &Engine, component: &Component) -> Result<PolicyKind> {
    let exports: Vec<String> = component.component_type().exports(engine).map(|(name, _)| name.to_owned()).collect();
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

fn check_imports(sandbox: &Sandbox, component: &Component, kind: PolicyKind) -> Result<()> {
    let granted = match kind {
        PolicyKind::Strategy => STRATEGY_IMPORTS,
        PolicyKind::Prioritizer => PRIORITIZER_IMPORTS,
    };
    for (import, item) in component.component_type().imports(&sandbox.engine) {
        // A name for a type of an interface brings no function along.
        if matches!(item.ty, ComponentItem::Type(_)) {
            continue;
        }
        let interface = import.strip_prefix(PACKAGE).map(|rest| rest.split('@').next().unwrap_or(rest));
        ensure!(
            interface.is_some_and(|interface| granted.contains(&interface)),
            "it imports {import}, which is not granted to a {kind}"
        );
    }
    Ok(())
}

fn checked_name(name: String) -> Result<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    ensure!(
        !name.is_empty() && name.len() <= 63 && name.chars().all(plain),
        "its name {name:?} is not made of 1 to 63 of a-z, 0-9, _ and -"
    );
    Ok(name)
}

/// Something to try a policy on before it serves.
pub(super) fn sample_issue() -> Issue {
    Issue {
        id: "self-check".to_owned(),
        severity: Severity::Medium,
        kind: IssueKind::LowRecall { recall: 0.9, p5: 0.5, target: 0.95, k: 10, parameter_in_force: 40 },
        index: Some(IndexName {
            oid: 0,
            schema: "public".to_owned(),
            name: "self_check".to_owned(),
            table_oid: 0,
            table_schema: "public".to_owned(),
            table: "self_check".to_owned(),
            method: AccessMethod::Hnsw,
        }),
        evidence: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_component_is_told_what_it_is() {
        let check = |bytes: &[u8], expected: &str| {
            let reason = check_header(bytes).unwrap_err().to_string();
            assert!(reason.contains(expected), "{reason}");
        };
        check(b"", "empty");
        check(b"\0asm\x01\0\0\0\x01", "core WebAssembly module");
        check(b"\0asm\x0c\0\x01\0", "format version 12");
        check(b"\0asm\x0d", "cut off after its first 5 bytes");
        check(b"(component)", "text");
        check(b"\x7fELF\x02\x01\x01\0", "not WebAssembly");
        check(&[0xff; 40], "not WebAssembly");
        assert!(check_header(b"\0asm\x0d\0\x01\0").is_ok());
    }

    #[test]
    fn names_are_plain() {
        let check = |name: &str, expected: bool| assert_eq!(checked_name(name.to_owned()).is_ok(), expected, "{name}");
        check("index_rebalance", true);
        check("my-rule-2", true);
        check("", false);
        check("Bad", false);
        check("a b", false);
        check(&"x".repeat(64), false);
    }
}
