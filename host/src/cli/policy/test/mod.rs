//! `pgheal policy test`: the real sandbox, issues from files, a database that is played or only read.

mod case;
mod expect;
mod file;
mod live;
mod run;

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;

use super::super::ExitStatus;
use super::build::build_crate;
use crate::cli::output::{say, say_as_is};
use crate::components::played::PlayedDatabase;
use crate::components::{Grant, SinglePolicy, Trust};
use crate::config::Config;
use file::CaseGroup;
use run::Ran;

pub(super) use case::sample_issue;

/// Where a policy's crate keeps its issues.
const ISSUES: &str = "tests/issues";

#[derive(Debug, Args)]
pub struct TestCommand {
    /// The policy's crate, which is built first, or a component.
    #[arg(value_name = "DIR|FILE.wasm")]
    policy: PathBuf,
    /// Issues: a JSON file (written ones, or what `pgheal check --json` printed), or a directory of them [default: the
    /// crate's tests/issues].
    #[arg(long, value_name = "FILE|DIR")]
    issues: Option<PathBuf>,
    /// The database that is played where an issue brings none of its own.
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    database: Option<PathBuf>,
    /// A live database: its issues (or those of --issues), really measured; whatever would change something is refused.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// With --url, only this index.
    #[arg(long, value_name = "NAME", requires = "url")]
    index: Option<String>,
    /// The configuration whose settings and targets the policy is told (pgheal.toml).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) async fn test(command: TestCommand) -> anyhow::Result<ExitStatus> {
    let config = super::config(command.config.as_deref())?;
    let groups = groups(&command)?;
    let component = if command.policy.is_dir() { build_crate(&command.policy, None)? } else { command.policy.clone() };
    // The limits are those of the daemon; whether it is signed is not a question of its tests, nor, without a
    // configuration, what it will be granted: on a played database it may do everything.
    let mut configs = config.policy_configs();
    if command.config.is_none() {
        configs.grant = Some(Grant { sql_role: Some("played".to_owned()), ..Grant::everything() });
    }
    let policy = match SinglePolicy::load(&component, configs, &Trust::default()).await? {
        Ok(policy) => policy,
        Err(failure) => {
            say!("{failure}");
            return Ok(ExitStatus::Issues);
        }
    };
    say!("{} {} ({})", policy.info().kind, policy.info().name, component.display());
    let ran = match &command.url {
        Some(url) => live::run(&policy, url, command.index.as_deref(), groups, &config).await?,
        None => {
            let groups = groups.context(
                "no issues to test with: name a file with --issues (`pgheal check --json` prints one), or a database \
                 with --url",
            )?;
            played(&policy, groups, &config).await?
        }
    };
    let failed = ran.iter().filter(|ran| !ran.complaints.is_empty()).count();
    for ran in &ran {
        say_as_is!("{ran}");
    }
    say!("\n{} of {} passed", ran.len() - failed, ran.len());
    Ok(if failed == 0 { ExitStatus::Healthy } else { ExitStatus::Issues })
}

async fn played(policy: &SinglePolicy, groups: Vec<CaseGroup>, config: &Config) -> anyhow::Result<Vec<Ran>> {
    let mut ran = Vec::new();
    for group in &groups {
        for case in &group.cases {
            ran.push(run::played(policy, case, config).await);
        }
        ran.extend(run::order(policy, group).await);
    }
    Ok(ran)
}

/// The issues that the options name; None where they name none.
fn groups(command: &TestCommand) -> anyhow::Result<Option<Vec<CaseGroup>>> {
    let database = match &command.database {
        Some(path) => Some(read_database(path)?),
        None => None,
    };
    let of_crate = command.policy.join(ISSUES);
    let path = match &command.issues {
        Some(path) => path.clone(),
        // A live database has issues of its own.
        None if command.url.is_none() && of_crate.is_dir() => of_crate,
        None => return Ok(None),
    };
    let mut groups = Vec::new();
    for file in files(&path)? {
        let mut found = file::read(&file)?;
        let without = found.iter_mut().flat_map(|group| &mut group.cases).filter(|case| case.database.is_none());
        without.for_each(|case| case.database.clone_from(&database));
        groups.append(&mut found);
    }
    ensure!(groups.iter().any(|group| !group.cases.is_empty()), "there is no issue in {}", path.display());
    Ok(Some(groups))
}

fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "json") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn read_database(path: &Path) -> anyhow::Result<PlayedDatabase> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| format!("{} is no played database", path.display()))
}
