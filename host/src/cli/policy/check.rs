use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::super::{ExitStatus, policies};
use super::read_component;
use crate::cli::output::{say, say_as_is};
use crate::components::{
    Inspection, LoadFailure, LoadStep, PolicyInfo, PolicyKind, SettingDeclaration, SinglePolicy, Trust,
    trust::signature_path,
};
use crate::config::Config;

#[derive(Debug, Args)]
pub struct CheckCommand {
    /// The component.
    file: PathBuf,
    /// The configuration under which it would be loaded (pgheal.toml).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints a JSON document.
    #[arg(long)]
    json: bool,
}

/// All that is known of a component without letting it serve.
struct Findings {
    /// The reason where it is no component.
    inspection: Result<Inspection, String>,
    name: Option<String>,
    signature: String,
    failure: Option<LoadFailure>,
    grants: Vec<String>,
    settings: Vec<String>,
}

pub(super) async fn check(command: &CheckCommand) -> anyhow::Result<ExitStatus> {
    let config = super::config(command.config.as_deref())?;
    let findings = look(&command.file, &config).await?;
    if command.json {
        say!("{}", serde_json::to_string_pretty(&to_json(&command.file, &findings))?);
    } else {
        say_as_is!("{}", to_text(&command.file, &findings));
    }
    Ok(if findings.failure.is_none() { ExitStatus::Healthy } else { ExitStatus::Issues })
}

async fn look(path: &Path, config: &Config) -> anyhow::Result<Findings> {
    let trust = policies::trust(config)?;
    let loaded = SinglePolicy::load(path, config.policy_configs(), &trust).await?;
    let inspection = match &loaded {
        // What the loader cannot read has nothing to look at.
        Err(failure) if failure.step == LoadStep::Read => Err(failure.reason.clone()),
        _ => Inspection::of(&read_component(path)?).map_err(|error| format!("{error:#}")),
    };
    let signature = signature_state(path, &trust);
    let (name, settings, failure) = match loaded {
        Ok(policy) => (Some(policy.info().name.clone()), settings(policy.info(), config), None),
        Err(failure) => (None, Vec::new(), Some(failure)),
    };
    let grants = inspection.as_ref().map_or_else(|_| Vec::new(), |found| grants(found, name.as_deref(), config));
    Ok(Findings { inspection, name, signature, failure, grants, settings })
}

fn signature_state(path: &Path, trust: &Trust) -> String {
    let is_there = signature_path(path).exists();
    if !trust.asks_for_signatures() {
        let there = if is_there { "there is one" } else { "there is none" };
        return format!("not asked for ({there}; policies.trusted_keys is empty)");
    }
    match read_component(path).map_err(|error| error.to_string()).and_then(|bytes| trust.signer(path, &bytes)) {
        Ok(key) => format!("by {key}"),
        Err(reason) => format!("refused: {reason}"),
    }
}

/// What each import gives it under the configuration of its name.
fn grants(inspection: &Inspection, name: Option<&str>, config: &Config) -> Vec<String> {
    let Some(name) = name else { return Vec::new() };
    let grant = config.policy_configs().of(name).grant;
    let mut lines = Vec::new();
    for import in inspection.imports.iter().filter(|import| !import.functions.is_empty()) {
        let interface = import.name.rsplit('/').next().and_then(|name| name.split('@').next()).unwrap_or_default();
        let covers = |function: &&String| grant.covers(&format!("{interface}.{function}"));
        let (granted, denied): (Vec<&String>, Vec<&String>) = import.functions.iter().partition(covers);
        let join = |functions: &[&String]| functions.iter().map(|f| f.as_str()).collect::<Vec<_>>().join(", ");
        if !granted.is_empty() {
            let how = match (interface, &grant.sql_role) {
                ("database", Some(role)) if grant.sql_write => format!(", as the role {role}"),
                ("database", Some(role)) => format!(", as the role {role}, READ ONLY"),
                ("actions", _) if !grant.schemas.is_empty() => {
                    format!(", in {}", grant.schemas.iter().cloned().collect::<Vec<_>>().join(", "))
                }
                _ => String::new(),
            };
            lines.push(format!("{interface}: {}{how}", join(&granted)));
        }
        if !denied.is_empty() {
            lines.push(format!("{interface}: NOT {} (see [policy.{name}.grant])", join(&denied)));
        }
    }
    lines
}

/// What the operator can set, and what is in force.
fn settings(policy: &PolicyInfo, config: &Config) -> Vec<String> {
    let given = config.policy_configs().of(&policy.name).settings;
    let line = |setting: &SettingDeclaration| {
        let value = given.get(&setting.name).or(setting.default_value.as_ref());
        let value = value.map_or_else(|| "not set".to_owned(), |value| format!("{value:?}"));
        format!("{} = {value}; {}. {}", setting.name, setting.kind, setting.description)
    };
    policy.settings.iter().map(line).collect()
}

fn kind_text(kind: Option<PolicyKind>) -> String {
    kind.map_or_else(|| "component of no known kind".to_owned(), |kind| kind.to_string())
}

fn to_json(path: &Path, findings: &Findings) -> Value {
    let mut document = match &findings.inspection {
        Ok(inspection) => json!(inspection),
        Err(_) => json!({}),
    };
    document["file"] = json!(path);
    document["name"] = json!(findings.name);
    document["signature"] = json!(findings.signature);
    document["grants"] = json!(findings.grants);
    document["settings"] = json!(findings.settings);
    document["would_load"] = json!(findings.failure.is_none());
    document["failure"] = match &findings.failure {
        Some(failure) => json!({"step": failure.step.to_string(), "reason": failure.reason}),
        None => Value::Null,
    };
    document
}

fn to_text(path: &Path, findings: &Findings) -> String {
    let mut text = format!("{}\n", path.display());
    let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<10} {value}\n"));
    match &findings.inspection {
        Ok(inspection) => {
            line("kind", &kind_text(inspection.kind));
            line("name", findings.name.as_deref().unwrap_or("not told: it does not load"));
            line("contract", inspection.contract.as_deref().unwrap_or("none"));
            line("size", &format!("{} bytes", inspection.size_bytes));
            line("sha256", &inspection.digest);
            for import in &inspection.imports {
                line("import", &format!("{} {}", import.name, import.functions.join(", ")));
            }
            line("exports", &inspection.exports.join(", "));
            for grant in &findings.grants {
                line("granted", grant);
            }
            for setting in &findings.settings {
                line("setting", setting);
            }
        }
        Err(reason) => line("component", &format!("no: {reason}")),
    }
    line("signature", &findings.signature);
    match &findings.failure {
        None => line("loads", "yes"),
        Some(failure) => line("loads", &format!("no ({}): {}", failure.step, failure.reason)),
    }
    text
}
