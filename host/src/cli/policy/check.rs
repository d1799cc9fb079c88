use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::super::{ExitStatus, policies};
use super::read_component;
use crate::components::{
    ImportedInterface, Inspection, Limits, LoadFailure, LoadStep, PolicyKind, SinglePolicy, Trust,
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
}

pub(super) async fn check(command: &CheckCommand) -> anyhow::Result<ExitStatus> {
    let config = super::config(command.config.as_deref())?;
    let findings = look(&command.file, &config).await?;
    if command.json {
        println!("{}", serde_json::to_string_pretty(&to_json(&command.file, &findings))?);
    } else {
        print!("{}", to_text(&command.file, &findings));
    }
    Ok(if findings.failure.is_none() { ExitStatus::Healthy } else { ExitStatus::Issues })
}

async fn look(path: &Path, config: &Config) -> anyhow::Result<Findings> {
    let trust = policies::trust(config)?;
    let loaded = SinglePolicy::load(path, &Limits::default(), &trust).await?;
    let inspection = match &loaded {
        // What the loader cannot read has nothing to look at.
        Err(failure) if failure.step == LoadStep::Read => Err(failure.reason.clone()),
        _ => Inspection::of(&read_component(path)?).map_err(|error| format!("{error:#}")),
    };
    let grants = match &inspection {
        Ok(inspection) => grants(inspection, config),
        Err(_) => Vec::new(),
    };
    let signature = signature_state(path, &trust);
    let (name, failure) = match loaded {
        Ok(policy) => (Some(policy.info().name.clone()), None),
        Err(failure) => (None, Some(failure)),
    };
    Ok(Findings { inspection, name, signature, failure, grants })
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

/// What each import gives it under the configuration.
fn grants(inspection: &Inspection, config: &Config) -> Vec<String> {
    let interface = |import: &ImportedInterface| {
        import.name.rsplit('/').next().and_then(|name| name.split('@').next()).unwrap_or_default().to_owned()
    };
    let is_strategy = inspection.kind == Some(PolicyKind::Strategy);
    inspection
        .imports
        .iter()
        .filter(|import| !import.functions.is_empty())
        .map(|import| {
            let what = match (interface(import).as_str(), is_strategy) {
                ("log", _) => "lines in the log".to_owned(),
                ("measure", true) => "measurements of the index of its issue".to_owned(),
                ("actions", true) => {
                    let irreversible = if config.repair.allow_irreversible { "with" } else { "without" };
                    format!("changes of the index of its issue, journaled; {irreversible} those that have no undo")
                }
                ("database", true) => match &config.repair.policy_role {
                    Some(role) if config.repair.policy_role_may_write => format!("SQL as the role {role}"),
                    Some(role) => format!("SQL as the role {role}, READ ONLY"),
                    None => "no SQL: repair.policy_role is not set".to_owned(),
                },
                _ => format!("nothing: a {} is not granted it", kind_text(inspection.kind)),
            };
            format!("{}: {what}", import.name)
        })
        .collect()
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
