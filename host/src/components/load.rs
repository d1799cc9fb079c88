//! A component's way from bytes to a policy that can serve.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Error, Result, bail, ensure};
use wasmtime::component::Component;

use super::cache::CompileCache;
use super::component_types::ComponentTypes;
use super::contract::Shape;
use super::lifecycle::Version;
use super::policy_core::PolicyCore;
use super::sandbox::Sandbox;
use super::setting::{self, SettingDeclaration};
use super::{
    LoadFailure, LoadStep, PolicyInfo, PolicyKind, PrioritizerPolicy, RefusingHost, StrategyPolicy, Trust, compiler,
};
use crate::model::{AccessMethod, IndexName, Issue, IssueKind, Severity};

#[derive(Clone)]
pub(super) enum Loaded {
    Strategy(Arc<StrategyPolicy>),
    Prioritizer(Arc<PrioritizerPolicy>),
}

impl Loaded {
    pub(super) fn info(&self) -> &PolicyInfo {
        match self {
            Loaded::Strategy(policy) => policy.info(),
            Loaded::Prioritizer(policy) => policy.info(),
        }
    }

    pub(super) fn version(&self) -> &Version {
        match self {
            Loaded::Strategy(policy) => &policy.core.version,
            Loaded::Prioritizer(policy) => &policy.core.version,
        }
    }
}

/// Takes a file's content through every step; what comes out can serve. `digest` is its SHA-256 in hex.
pub(super) async fn load(
    sandbox: &Arc<Sandbox>,
    cache: Option<&Arc<CompileCache>>,
    trust: &Trust,
    path: &Path,
    bytes: &[u8],
    digest: &str,
) -> Result<Loaded, LoadFailure> {
    let mut failure = LoadFailure {
        path: path.to_owned(),
        digest: Some(digest.to_owned()),
        step: LoadStep::Read,
        reason: String::new(),
    };
    match steps(sandbox, cache, trust, path, bytes, &mut failure.step, digest).await {
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
    path: &Path,
    bytes: &[u8],
    step: &mut LoadStep,
    digest: &str,
) -> Result<Loaded> {
    check_header(bytes)?;
    *step = LoadStep::Trust;
    trust.check(path, bytes).map_err(Error::msg)?;
    *step = LoadStep::Imports;
    // For the threads that look at it and compile it.
    let shared: Arc<[u8]> = bytes.into();
    let shape = match read_types(Arc::clone(&shared)).await? {
        Ok(types) => Ok(Shape::of(types)?),
        Err(error) => Err(error),
    };
    if let Ok(shape) = &shape {
        shape.check_imports(sandbox.contracts.of(shape.contract))?;
    }
    *step = LoadStep::Compile;
    let component = compile(sandbox, cache.cloned(), shared, digest.to_owned()).await?;
    // What has no valid types does not compile either, and the compiler tells where it is wrong.
    let shape = shape?;

    *step = LoadStep::Link;
    let contract = sandbox.contracts.of(shape.contract);
    // Until the component has told its name, the log knows it by its file.
    let file_name: Arc<str> = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned()).into();
    let kind = shape.kind;
    let core = PolicyCore {
        digest: digest[..12].into(),
        version: Version::new(digest),
        info: PolicyInfo {
            name: String::new(),
            kind,
            digest: digest.to_owned(),
            path: path.to_owned(),
            shape,
            settings: Vec::new(),
            order: 0,
            enabled: true,
        },
        name: file_name,
        sandbox: sandbox.clone(),
        limits: Arc::new(sandbox.configs.limits.clone()),
        grant: Arc::default(),
        settings: Arc::default(),
    };
    match kind {
        PolicyKind::Strategy => {
            let mut policy = StrategyPolicy { core, guest: contract.strategy(&component)? };
            *step = LoadStep::Describe;
            let described = policy.describe().await?;
            configure(&mut policy.core, described, step)?;
            *step = LoadStep::SelfCheck;
            policy.can_repair(&sample_issue()).await?;
            Ok(Loaded::Strategy(Arc::new(policy)))
        }
        PolicyKind::Prioritizer => {
            let host = Arc::new(RefusingHost::default());
            let mut policy = PrioritizerPolicy { core, guest: contract.prioritizer(&component)?, host };
            *step = LoadStep::Describe;
            let described = policy.describe().await?;
            configure(&mut policy.core, described, step)?;
            *step = LoadStep::SelfCheck;
            policy.compute_priority(&sample_issue()).await?;
            Ok(Loaded::Prioritizer(Arc::new(policy)))
        }
    }
}

/// Now that the policy has told its name and settings, the operator's configuration of it holds.
fn configure(
    core: &mut PolicyCore,
    (name, declared): (String, Vec<SettingDeclaration>),
    step: &mut LoadStep,
) -> Result<()> {
    let name = checked_name(name)?;
    if let Some(complaint) = setting::complaint(&declared) {
        bail!(complaint);
    }
    *step = LoadStep::Configure;
    let options = core.sandbox.configs.of(&name);
    options.check_digest(&core.info.digest).map_err(Error::msg)?;
    core.settings = Arc::new(options.settings_in_force(&declared).map_err(Error::msg)?);
    core.name = name.as_str().into();
    core.info.name = name;
    core.info.settings = declared;
    core.info.order = options.order;
    core.info.enabled = options.enabled;
    core.limits = Arc::new(options.limits);
    core.grant = Arc::new(options.grant);
    Ok(())
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

/// Off the async threads: a language's whole runtime has many megabytes.
async fn read_types(bytes: Arc<[u8]>) -> Result<Result<ComponentTypes>> {
    Ok(tokio::task::spawn_blocking(move || ComponentTypes::read(&bytes)).await?)
}

/// From the cache or by compiling; both off the async threads.
async fn compile(
    sandbox: &Arc<Sandbox>,
    cache: Option<Arc<CompileCache>>,
    bytes: Arc<[u8]>,
    digest: String,
) -> Result<Component> {
    let engine = sandbox.engine.clone();
    tokio::task::spawn_blocking(move || {
        let Some(cache) = cache else { return compiler::compile(&engine, &bytes) };
        if let Some(component) = cache.get(&engine, &digest) {
            return Ok(component);
        }
        let component = compiler::compile(&engine, &bytes)?;
        if let Err(error) = cache.put(&digest, &component) {
            tracing::warn!("a compiled policy cannot be kept for the next start: {error:#}");
        }
        Ok(component)
    })
    .await?
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
