use std::sync::Arc;

use anyhow::Context;

use super::super::super::progress;
use super::case::{Case, CaseContext};
use super::expect::Expectations;
use super::file::CaseGroup;
use super::run::{self, Ran};
use crate::cli::output::say;
use crate::components::{PolicyHost, RefusingHost, SinglePolicy};
use crate::config::Config;
use crate::heal::repair::refusals;
use crate::heal::{IndexFindings, indexes_under_care, observe, repair_settings};
use crate::postgres::{Connector, Journal, server_facts};

/// Runs the cases, or where there are none the issues that the database has, against what is really measured. The
/// database is only read: the host refuses what `pgheal heal --dry-run` refuses.
pub async fn run(
    policy: &SinglePolicy,
    url: &str,
    filter: Option<&str>,
    groups: Option<Vec<CaseGroup>>,
    config: &Config,
) -> anyhow::Result<Vec<Ran>> {
    let connector = Connector::parse(url)?;
    let session = connector.connect("policy test").await?;
    let facts = server_facts(&session).await?;
    // A role that may not read the journal can still test.
    let journal = Journal::open_existing(&connector).await.ok().flatten();
    let (mut definitions, _) = indexes_under_care(&session, journal.as_ref(), filter).await?;
    if let Some(groups) = &groups {
        let asked = |schema: &str, name: &str| {
            let indexes = groups.iter().flat_map(|group| &group.cases).filter_map(|case| case.issue().index.as_ref());
            indexes.into_iter().any(|index| index.schema == schema && index.name == name)
        };
        definitions.retain(|definition| asked(&definition.name.schema, &definition.name.name));
    }
    let progress = progress::on_stderr();
    let mut measured = Vec::new();
    for definition in definitions {
        let name = definition.name.to_string();
        let settings = repair_settings(config, &definition);
        let refused = refusals(&session, &definition, &settings).await?;
        let context = CaseContext {
            reinsertion_refused: refused.reinsertion,
            rebuild_refused: refused.rebuild,
            ..CaseContext::default()
        };
        let findings = observe(&connector, &facts, definition, config, progress.as_ref()).await;
        measured.push((findings.with_context(|| format!("{name} cannot be measured"))?, context));
    }
    drop(progress);

    let mut ran = Vec::new();
    match groups {
        Some(groups) => {
            for group in &groups {
                for case in &group.cases {
                    ran.push(written(policy, case, &measured, config).await?);
                }
                ran.extend(run::order(policy, group).await);
            }
        }
        None => {
            let mut found = CaseGroup { title: connector.server().to_owned(), cases: Vec::new(), order: None };
            for (findings, context) in &measured {
                for diagnosis in &findings.diagnoses {
                    let case = Case {
                        title: format!("{}: {}", findings.definition.name, diagnosis.issue.id),
                        diagnosis: diagnosis.clone(),
                        context: context.clone(),
                        database: None,
                        expect: Expectations::default(),
                    };
                    ran.push(run::reading(policy, &case, config, host(findings)).await);
                    found.cases.push(case);
                }
            }
            ran.extend(run::order(policy, &found).await);
            if found.cases.is_empty() {
                say!("{} indexes were measured and have no issue", measured.len());
            }
        }
    }
    Ok(ran)
}

/// A written issue, moved to the live index of its name.
async fn written(
    policy: &SinglePolicy,
    case: &Case,
    measured: &[(IndexFindings, CaseContext)],
    config: &Config,
) -> anyhow::Result<Ran> {
    let mut case = case.clone();
    let Some(index) = case.issue().index.clone() else {
        return Ok(run::reading(policy, &case, config, Arc::new(RefusingHost::default())).await);
    };
    let is_it = |findings: &IndexFindings| {
        let name = &findings.definition.name;
        name.schema == index.schema && name.name == index.name
    };
    let (findings, refused) = measured
        .iter()
        .find(|(findings, _)| is_it(findings))
        .with_context(|| format!("{}: the database has no vector index {index}", case.title))?;
    case.diagnosis.issue.index = Some(findings.definition.name.clone());
    case.context.reinsertion_refused = case.context.reinsertion_refused.or_else(|| refused.reinsertion_refused.clone());
    case.context.rebuild_refused = case.context.rebuild_refused.or_else(|| refused.rebuild_refused.clone());
    Ok(run::reading(policy, &case, config, host(findings)).await)
}

fn host(findings: &IndexFindings) -> Arc<dyn PolicyHost> {
    Arc::new(RefusingHost::new(Some(findings.measurement.health.clone())))
}
