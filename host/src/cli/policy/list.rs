use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};

use super::target::Target;
use super::tell::{short, time};
use crate::cli::output::say;
use crate::cli::{ExitStatus, policies};
use crate::components::{PoliciesStatus, PolicyStatus, status_of_daemon};

const WIDTH_WITHOUT_TERMINAL: u16 = 160;

#[derive(Debug, Args)]
pub struct ListCommand {
    #[command(flatten)]
    target: Target,
    /// Prints a JSON document instead of the table.
    #[arg(long)]
    json: bool,
}

pub(super) async fn list(command: ListCommand) -> anyhow::Result<ExitStatus> {
    let options = command.target.options()?;
    // The daemon knows; without one, what it would find at its start is what there is to tell.
    let status = match status_of_daemon(&options) {
        Some(status) => status,
        None => policies::open(options).await?.status(),
    };
    if command.json {
        say!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print(&status);
    }
    Ok(ExitStatus::Healthy)
}

fn print(status: &PoliciesStatus) {
    match status.serves {
        true => say!("{}, served by process {}", status.directory, status.pid),
        false => say!("{}, not served by a daemon: what would load now", status.directory),
    }
    if let Some(reason) = &status.not_remembered {
        say!("Versions are not remembered: {reason}");
    }
    if status.policies.is_empty() {
        say!("No policies.");
    } else {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        if table.width().is_none() {
            // Not a terminal: a file or a pipe.
            table.set_width(WIDTH_WITHOUT_TERMINAL);
        }
        table.set_header(["name", "kind", "version", "state", "since (UTC)", "file", "strikes", "last failure"]);
        for policy in &status.policies {
            table.add_row(row(policy));
        }
        say!("{table}");
    }
    if !status.failures.is_empty() {
        say!("Files that do not serve:");
    }
    for failure in &status.failures {
        say!("  {failure}");
    }
    if status.failures_untold > 0 {
        say!("  and {} more", status.failures_untold);
    }
}

fn row(policy: &PolicyStatus) -> [String; 8] {
    let failure = policy.failure.as_ref().map_or_else(String::new, |failure| {
        let digest = failure.digest.as_deref().map_or("unread", short);
        format!("{digest} at {}: {}", failure.step, failure.reason)
    });
    [
        policy.name.clone(),
        policy.kind.to_string(),
        policy.digest.as_deref().map_or("none", short).to_owned(),
        policy.state.to_string(),
        time(policy.since_ms),
        policy.file.clone(),
        policy.strikes.to_string(),
        failure,
    ]
}
