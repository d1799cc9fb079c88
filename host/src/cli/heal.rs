use std::sync::Arc;

use serde_json::json;

use super::arguments::{CheckCommand, HealCommand};
use super::{ExitStatus, check, policies, progress, report};
use crate::cli::output::say;
use crate::heal::Healer;
use crate::model::{Issue, Outcome, RepairRecord, Severity};
use crate::postgres::Connector;

pub(super) async fn heal(command: HealCommand) -> anyhow::Result<ExitStatus> {
    if command.dry_run {
        // What would be done is what `check` proposes; nothing else is asked of the database.
        return check::check(CheckCommand {
            url: command.url,
            index: command.index,
            json: command.json,
            common: command.common,
        })
        .await;
    }
    let config = Arc::new(policies::config(&command.common)?);
    let connector = Connector::parse(&command.url)?;
    let (policies, failures) = policies::load(command.common.policies.as_deref(), &config).await?;
    for failure in &failures {
        tracing::warn!("{failure}");
    }
    anyhow::ensure!(
        !policies.strategies().is_empty(),
        "there is no repair strategy to heal with; build the policies, or name their directory with --policies"
    );
    let progress = progress::on_stderr();
    let mut healer = Healer::start(connector, Arc::clone(&config), policies, Arc::clone(&progress)).await?;
    let (found, cycle) = healer.heal_once(command.index.as_deref()).await?;
    drop(healer);
    drop(progress);

    if command.json {
        let document = json!({
            "issues": found.iter().map(report::issue_json).collect::<Vec<_>>(),
            "issues_left": cycle.detected_issues.iter().map(report::issue_json).collect::<Vec<_>>(),
            "failed_checks": cycle.failed_checks.iter()
                .map(|(index, reason)| json!({"index": index, "reason": reason})).collect::<Vec<_>>(),
            "repairs": cycle.repairs_completed,
        });
        say!("{}", serde_json::to_string_pretty(&document)?);
    } else {
        print_summary(&found, &cycle.repairs_completed, &cycle.detected_issues);
        for (index, reason) in &cycle.failed_checks {
            say!("{index} could not be measured: {reason}");
        }
    }
    Ok(status(&cycle.repairs_completed, &cycle.detected_issues, cycle.failed_checks.is_empty()))
}

fn print_summary(found: &[Issue], repairs: &[RepairRecord], left: &[Issue]) {
    if found.is_empty() {
        say!("Nothing to heal.");
        return;
    }
    say!("{}", report::repairs_table(repairs));
    if left.is_empty() {
        say!("No issue is left.");
    } else {
        say!("Left:");
        for issue in left {
            say!("  {} {}", issue.id, report::issue_line(issue));
        }
    }
}

/// As in `check`, issues of low severity are advice. The worst outcome wins; a rolled-back repair is said even where another strategy healed the issue.
fn status(repairs: &[RepairRecord], left: &[Issue], all_measured: bool) -> ExitStatus {
    let ended = |outcome| repairs.iter().any(|r| r.outcome == Some(outcome));
    if ended(Outcome::RollbackFailed) {
        ExitStatus::RollbackFailed
    } else if ended(Outcome::RolledBack) {
        ExitStatus::RolledBack
    } else if all_measured && left.iter().all(|issue| issue.severity == Severity::Low) {
        ExitStatus::Healthy
    } else {
        ExitStatus::Issues
    }
}
