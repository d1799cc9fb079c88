use std::fmt;
use std::sync::Arc;

use super::case::Case;
use super::expect::{Ending, calls_fit};
use super::file::CaseGroup;
use crate::components::played::{PlayedHost, RecordedCall, RecordingHost};
use crate::components::{
    CallError, PolicyHost, PrioritizerPolicy, RefusingHost, RepairFailure, SinglePolicy, StrategyPolicy,
};
use crate::config::Config;
use crate::model::Diagnosis;

/// A case that was run: what happened, and what was expected otherwise.
#[derive(Debug, Default)]
pub struct Ran {
    pub title: String,
    /// Name and value, for the reader.
    pub facts: Vec<(&'static str, String)>,
    pub calls: Vec<RecordedCall>,
    /// Empty: passed.
    pub complaints: Vec<String>,
}

impl Ran {
    fn fact(&mut self, name: &'static str, value: impl fmt::Display) {
        self.facts.push((name, value.to_string()));
    }

    fn expect<T: PartialEq + fmt::Display>(&mut self, name: &str, expected: Option<&T>, found: &T) {
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            self.complaints.push(format!("{name}: {expected} was expected, it is {found}"));
        }
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.complaints.is_empty() { "ok" } else { "FAILED" };
        writeln!(f, "\n{} ... {verdict}", self.title)?;
        for (name, value) in &self.facts {
            writeln!(f, "  {name:<11} {value}")?;
        }
        for (position, call) in self.calls.iter().enumerate() {
            writeln!(f, "  {:<11} {call}", if position == 0 { "calls" } else { "" })?;
        }
        for complaint in &self.complaints {
            writeln!(f, "  expected    {complaint}")?;
        }
        Ok(())
    }
}

/// Whom a strategy can ask.
struct Hosts {
    /// For proposals, which change nothing.
    looking: Arc<dyn PolicyHost>,
    /// For repair and what follows it.
    working: Arc<dyn PolicyHost>,
    /// What the policy is told in repair.
    dry_run: bool,
}

/// Runs a case on its played database.
pub async fn played(policy: &SinglePolicy, case: &Case, config: &Config) -> Ran {
    let mut ran = Ran { title: case.title.clone(), ..Ran::default() };
    let is_strategy = matches!(policy, SinglePolicy::Strategy(_));
    if let Some(foreign) = case.expect.foreign_to(is_strategy) {
        ran.complaints.push(format!("expect.{foreign} means nothing for a {}", policy.info().kind));
    }
    match policy {
        SinglePolicy::Prioritizer(policy) => priority(policy, case, &mut ran).await,
        SinglePolicy::Strategy(policy) => {
            let database = case.database.clone().unwrap_or_default();
            // A proposal may look at the health that there is, and at nothing else.
            let looking = Arc::new(
                RefusingHost::new(database.health.first().cloned())
                    .with_past_durations(database.past_duration_ms.clone().into_iter().collect()),
            );
            let host = Arc::new(PlayedHost::new(database));
            strategy(policy, case, config, Hosts { looking, working: host, dry_run: false }, &mut ran).await;
        }
    }
    ran
}

/// Runs a case on a database that is only read: `host` refuses every change, so that how it ends is no verdict.
pub async fn reading(policy: &SinglePolicy, case: &Case, config: &Config, host: Arc<dyn PolicyHost>) -> Ran {
    let mut ran = Ran { title: case.title.clone(), ..Ran::default() };
    match policy {
        SinglePolicy::Prioritizer(policy) => priority(policy, case, &mut ran).await,
        SinglePolicy::Strategy(policy) => {
            let mut case = case.clone();
            (case.expect.outcome, case.expect.reason) = (None, None);
            (case.expect.calls, case.expect.repair_type) = (None, None);
            let hosts = Hosts { looking: Arc::clone(&host), working: host, dry_run: true };
            strategy(policy, &case, config, hosts, &mut ran).await;
        }
    }
    ran
}

async fn priority(policy: &PrioritizerPolicy, case: &Case, ran: &mut Ran) {
    match policy.compute_priority(case.issue()).await {
        Ok(priority) => {
            ran.fact("priority", priority);
            if let Some([least, most]) = case.expect.priority
                && !(least..=most).contains(&priority)
            {
                ran.complaints.push(format!("priority: {least} to {most} was expected, it is {priority}"));
            }
        }
        Err(error) => ran.complaints.push(format!("compute-priority: {error}")),
    }
}

async fn strategy(policy: &StrategyPolicy, case: &Case, config: &Config, hosts: Hosts, ran: &mut Ran) {
    let (ending, reason) = match work(policy, case, config, hosts, ran).await {
        Ok(ended) => ended,
        Err((function, error)) => {
            let ending = Ending::from(&error);
            if case.expect.outcome != Some(ending) {
                ran.complaints.push(format!("{function}: {error}"));
            }
            (ending, error.to_string())
        }
    };
    ran.fact("outcome", if reason.is_empty() { ending.to_string() } else { format!("{ending}: {reason}") });
    ran.expect("outcome", case.expect.outcome.as_ref(), &ending);
    if let Some(part) = case.expect.reason.as_ref().filter(|part| !reason.contains(*part)) {
        ran.complaints.push(format!("reason: {part:?} is no part of {reason:?}"));
    }
    if let Some(expected) = &case.expect.calls
        && !calls_fit(expected, &ran.calls)
    {
        ran.complaints.push(format!("calls of repair: {}", expected.join("; ")));
    }
}

type Ended = Result<(Ending, String), (&'static str, CallError)>;

/// What the daemon does with an issue, step by step; every call that repair and what follows it make is written down.
async fn work(policy: &StrategyPolicy, case: &Case, config: &Config, hosts: Hosts, ran: &mut Ran) -> Ended {
    let issue = case.issue();
    let takes = policy.can_repair(issue).await.map_err(|error| ("can-repair", error))?;
    ran.fact("can repair", takes);
    ran.expect("can_repair", case.expect.can_repair.as_ref(), &takes);
    if !takes {
        return Ok((Ending::NotTaken, String::new()));
    }
    let dry = case.context(config, true);
    let proposal = policy.propose(issue, &dry, Arc::clone(&hosts.looking)).await.map_err(|error| ("propose", error))?;
    ran.fact("proposal", proposal);
    let estimate =
        policy.estimated_duration_ms(issue, hosts.looking).await.map_err(|error| ("estimated-duration", error))?;
    ran.fact("estimate", format!("{estimate} ms"));

    let recording = Arc::new(RecordingHost::new(hosts.working));
    let context = case.context(config, hosts.dry_run);
    let repaired = policy.repair(issue, &context, recording.clone()).await;
    ran.calls = recording.take();
    let result = match repaired.map_err(|error| ("repair", error))? {
        Ok(result) => result,
        Err(failure) => {
            let (ending, reason) = match failure {
                RepairFailure::UnsupportedIssue => (Ending::UnsupportedIssue, String::new()),
                RepairFailure::CannotImprove(reason) => (Ending::CannotImprove, reason),
                RepairFailure::ValidationFailed(reason) => (Ending::ValidationFailed, reason),
                RepairFailure::Host(reason) => (Ending::Host, reason),
            };
            return Ok((ending, reason));
        }
    };
    let details: Vec<String> = result.details.iter().map(|d| format!("{} = {}", d.name, d.value)).collect();
    ran.fact("repair", format!("{} ({})", result.repair_type, details.join(", ")));
    ran.expect("repair_type", case.expect.repair_type.as_ref(), &result.repair_type);
    if !result.success {
        return Ok((Ending::Unsuccessful, String::new()));
    }
    let valid = policy.validate(issue, &result, recording.clone()).await.map_err(|error| ("validate", error))?;
    ran.fact("valid", in_words(valid, &recording));
    if valid {
        return Ok((Ending::Success, String::new()));
    }
    let rolled_back = policy.rollback(issue, &result, recording.clone()).await.map_err(|error| ("rollback", error))?;
    ran.fact(
        "rollback",
        match &rolled_back {
            Ok(()) => in_words("done", &recording),
            Err(failure) => in_words(failure, &recording),
        },
    );
    Ok((Ending::RolledBack, "validate said no".to_owned()))
}

/// An answer, and what was asked for it.
fn in_words(answer: impl fmt::Display, recording: &RecordingHost) -> String {
    let calls: Vec<String> = recording.take().iter().map(ToString::to_string).collect();
    if calls.is_empty() { answer.to_string() } else { format!("{answer} ({})", calls.join("; ")) }
}

/// Ranks the issues of a group; nothing for a strategy, or where there is one only.
pub async fn order(policy: &SinglePolicy, group: &CaseGroup) -> Option<Ran> {
    let mut ran = Ran { title: format!("{}: order", group.title), ..Ran::default() };
    let policy = match policy {
        SinglePolicy::Prioritizer(policy) => policy,
        SinglePolicy::Strategy(_) => {
            group.order.as_ref()?;
            ran.complaints.push("expect.order means nothing for a strategy".to_owned());
            return Some(ran);
        }
    };
    if group.cases.len() < 2 && group.order.is_none() {
        return None;
    }
    let diagnoses: Vec<Diagnosis> = group.cases.iter().map(|case| case.diagnosis.clone()).collect();
    match policy.prioritize(&diagnoses).await {
        Ok(ranked) => {
            let id = |position: usize| diagnoses[position].issue.id.clone();
            for item in &ranked {
                ran.fact("", format!("{:>6.2} {} {}", item.priority, id(item.position), item.reason));
            }
            let found: Vec<String> = ranked.iter().map(|item| id(item.position)).collect();
            if let Some(expected) = group.order.as_ref().filter(|expected| **expected != found) {
                ran.complaints.push(format!("order: {}", expected.join(", ")));
            }
        }
        Err(error) => ran.complaints.push(format!("prioritize: {error}")),
    }
    Some(ran)
}
