use std::sync::Arc;

use super::arguments::CheckCommand;
use super::report::{IndexReport, Proposal, Report};
use super::{ExitStatus, policies, progress, report};
use crate::cli::output::say;
use crate::components::{Policies, PolicyHost, RefusingHost};
use crate::config::Config;
use crate::heal::detect::Verdict;
use crate::heal::repair::refusals;
use crate::heal::{IndexFindings, indexes_under_care, observe, repair_context, repair_settings, strategies_in_order};
use crate::model::Progress;
use crate::postgres::{Connector, Journal, server_facts};

pub(super) async fn check(command: CheckCommand) -> anyhow::Result<ExitStatus> {
    let config = policies::config(&command.common)?;
    let connector = Connector::parse(&command.url)?;
    let progress = progress::on_stderr();
    let report = look(&connector, &config, &command, progress.as_ref()).await?;
    drop(progress);
    if command.json {
        say!("{}", serde_json::to_string_pretty(&report::to_json(&report))?);
    } else {
        say!("{}", report::to_table(&report));
    }
    Ok(status(&report))
}

/// Measures all indexes asked for and asks the strategies what they would do.
async fn look(
    connector: &Connector,
    config: &Config,
    command: &CheckCommand,
    progress: &dyn Progress,
) -> anyhow::Result<Report> {
    let session = connector.connect("check").await?;
    let facts = server_facts(&session).await?;
    // A role that may not read the journal can still check.
    let (journal, unreadable) = match Journal::open_existing(connector).await {
        Ok(journal) => (journal, None),
        Err(error) => (None, Some(format!("the journal in schema pgheal cannot be read: {error}"))),
    };
    let (definitions, kept) = indexes_under_care(&session, journal.as_ref(), command.index.as_deref()).await?;

    // Without policies the audit is whole but for its proposals, and says so.
    let mut notes: Vec<String> = unreadable.into_iter().collect();
    notes.extend(kept.iter().map(|k| {
        format!(
            "{} was replaced as {} by repair {}; kept until {}",
            k.kept_name, k.original_name, k.repair_id, k.keep_until
        )
    }));
    let policies = match policies::load(command.common.policies.as_deref(), config).await {
        Ok((policies, failures)) => {
            notes.extend(failures.iter().map(ToString::to_string));
            Some(policies)
        }
        Err(error) => {
            notes.push(format!("no proposals: {error:#}"));
            None
        }
    };
    let mut indexes = Vec::new();
    for definition in definitions {
        let name = definition.name.clone();
        match observe(connector, &facts, definition, config, progress).await {
            Ok(findings) => {
                let proposals = match &policies {
                    Some(policies) => propose(policies, config, &session, &findings, &mut notes).await?,
                    None => Vec::new(),
                };
                indexes.push(IndexReport::Measured { findings: Box::new(findings), proposals });
            }
            Err(error) => {
                indexes.push(IndexReport::Failed { name, reason: format!("{:#}", anyhow::Error::new(error)) })
            }
        }
    }
    Ok(Report { server: connector.server().to_owned(), facts, indexes, notes, config: config.clone() })
}

/// Asks each strategy that takes an issue what it would do and what it expects of it.
async fn propose(
    policies: &Policies,
    config: &Config,
    session: &tokio_postgres::Client,
    findings: &IndexFindings,
    notes: &mut Vec<String>,
) -> anyhow::Result<Vec<Proposal>> {
    let settings = repair_settings(config, &findings.definition);
    let refused = refusals(session, &findings.definition, &settings).await?;
    let host: Arc<dyn PolicyHost> = Arc::new(RefusingHost::new(Some(findings.measurement.health.clone())));
    let mut proposals = Vec::new();
    for diagnosis in &findings.diagnoses {
        for name in strategies_in_order(policies) {
            let issue = &diagnosis.issue;
            let answer = async {
                if !policies.can_repair(&name, issue).await? {
                    return Ok(None);
                }
                let context = repair_context(config, diagnosis, &refused, true);
                policies.propose(&name, issue, &context, Arc::clone(&host)).await.map(Some)
            };
            match answer.await {
                Ok(Some(expects)) => {
                    proposals.push(Proposal { issue_id: issue.id.clone(), strategy: name.clone(), expects });
                }
                Ok(None) => {}
                Err(error) => notes.push(format!("the strategy {name} could not propose: {error}")),
            }
        }
    }
    Ok(proposals)
}

/// 0 only where every index was measured and found healthy: what could not be measured is no health.
fn status(report: &Report) -> ExitStatus {
    let healthy = report
        .indexes
        .iter()
        .all(|index| matches!(index, IndexReport::Measured { findings, .. } if findings.verdict == Verdict::Healthy));
    if healthy { ExitStatus::Healthy } else { ExitStatus::Issues }
}
