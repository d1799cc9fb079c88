use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::observe::measure_options;
use super::repair::{self, Consents, PolicyRole, Refusals, RepairHost, RepairSettings};
use super::verify::{self, Targets, Verdict};
use crate::components::{CallError, Grant, Policies, PolicyHost, RepairContext, StrategyPolicy};
use crate::config::Config;
use crate::measure::{Measurement, measure};
use crate::model::{
    AgendaItem, Diagnosis, IndexDefinition, Outcome, Progress, RepairDetail, RepairRecord, RepairResult,
    measurement_json,
};
use crate::postgres::{Connector, Journal, NewRepair, vector_indexes};

/// One agenda item on its way through the strategies.
pub(super) struct Attempt {
    pub connector: Connector,
    pub config: Arc<Config>,
    pub policies: Arc<Policies>,
    pub journal: Arc<Journal>,
    pub progress: Arc<dyn Progress>,
    pub item: AgendaItem,
    pub definition: IndexDefinition,
    pub before: Measurement,
}

/// How it ended: a record for every strategy that was tried.
pub struct Ended {
    pub issue_id: String,
    pub records: Vec<RepairRecord>,
    pub took_ms: u64,
    /// Nothing was tried, because the issue is gone: neither a success nor a failure.
    pub not_needed: bool,
}

/// How one strategy's try ended.
struct Tried {
    outcome: Outcome,
    reason: String,
    result: Option<RepairResult>,
    after: Option<Measurement>,
}

impl Attempt {
    /// Asks the strategies in their order. The next one is tried only while nothing was changed: after a
    /// rollback the measurements have to be made anew.
    #[tracing::instrument(
        name = "repair",
        skip_all,
        fields(server = self.connector.server(), issue = self.item.diagnosis.issue.id, index = %self.definition.name)
    )]
    pub async fn run(self) -> anyhow::Result<Ended> {
        let started = Instant::now();
        let issue = &self.item.diagnosis.issue;
        let session = self.connector.connect("repair").await?;
        let settings = repair_settings(&self.config, &self.definition);
        let mut refusals = repair::refusals(&session, &self.definition, &settings).await?;
        let method = self.definition.name.method;
        refusals.parameter = repair::parameter_refusal(&self.connector, &self.journal, method, &settings).await?;
        drop(session);

        let mut records = Vec::new();
        for name in strategies_in_order(&self.policies) {
            // The version that serves now serves the whole repair.
            let strategy = self.policies.strategy(&name)?;
            match strategy.can_repair(issue).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    tracing::error!(policy = name, "can_repair failed: {error}");
                    continue;
                }
            }
            let (record, go_on) = self.try_strategy(&strategy, &settings, &refusals).await?;
            records.push(record);
            if !go_on {
                break;
            }
        }
        if records.is_empty() {
            tracing::info!(issue = issue.id, "no strategy repairs this kind of issue");
        }
        Ok(Ended {
            issue_id: issue.id.clone(),
            records,
            took_ms: started.elapsed().as_millis() as u64,
            not_needed: false,
        })
    }

    /// One strategy, from its entry in the history to its outcome. True: nothing was changed, the next may try.
    async fn try_strategy(
        &self,
        strategy: &StrategyPolicy,
        settings: &RepairSettings,
        refusals: &Refusals,
    ) -> anyhow::Result<(RepairRecord, bool)> {
        let info = strategy.info();
        let before = measurement_json(&self.before.health);
        let new = NewRepair { agenda: &self.item, strategy: &info.name, digest: &info.digest, before: &before };
        let id = self.journal.start_repair(&new).await.context("the repair's entry in the history")?;
        let host = RepairHost::new(
            self.connector.clone(),
            Arc::clone(&self.journal),
            id,
            Some(self.definition.clone()),
            RepairSettings {
                policy_role: policy_role(strategy.grant()),
                sql_timeout: strategy.limits().sql_time,
                sql_max_rows: strategy.limits().rows_to_guest,
                sql_max_bytes: strategy.limits().bytes_to_guest,
                ..settings.clone()
            },
            measure_options(&self.config, &self.definition.name.schema, &self.definition.name.name),
            Arc::clone(&self.progress),
        );
        host.adopt_measurement(self.before.clone()).await;
        tracing::info!(repair = id, strategy = info.name, issue = self.item.diagnosis.issue.id, "repair begins");
        let run = Run { attempt: self, strategy, host, id };
        let tried = match run.carry_out(refusals, settings).await {
            Ok(tried) => tried,
            Err(error) => run.undo(None, format!("{error:#}")).await,
        };
        // The next leader resolves what the journal holds open; two verdicts on one repair would be one too many.
        anyhow::ensure!(
            self.journal.acquire_leadership().await?,
            "the lead was lost: whoever leads now resolves repair {id} from the journal ({})",
            tried.reason
        );
        tracing::info!(repair = id, outcome = tried.outcome.name(), "repair ended: {}", tried.reason);
        let after = tried.after.as_ref().map_or(serde_json::Value::Null, |m| measurement_json(&m.health));
        self.journal
            .finish_repair(id, tried.outcome, tried.result.as_ref(), &tried.reason, &after)
            .await
            .context("the repair's outcome in the history")?;
        let record = self.journal.repair(id).await?;
        let go_on = tried.outcome == Outcome::Inconclusive && !run.changed_anything().await?;
        Ok((record, go_on))
    }
}

/// A strategy at work on an attempt.
struct Run<'a> {
    attempt: &'a Attempt,
    strategy: &'a StrategyPolicy,
    host: Arc<RepairHost>,
    id: i64,
}

impl Run<'_> {
    async fn carry_out(&self, refusals: &Refusals, settings: &RepairSettings) -> anyhow::Result<Tried> {
        let Attempt { config, item, before, .. } = self.attempt;
        let issue = &item.diagnosis.issue;
        let context = repair_context(config, &item.diagnosis, refusals, false);
        let result = match self.strategy.repair(issue, &context, self.policy_host()).await {
            Ok(Ok(result)) if result.success => result,
            Ok(Ok(result)) => {
                return Ok(self.undo(Some(result), "the strategy reports no success".to_owned()).await);
            }
            Ok(Err(failure)) => return Ok(self.undo(None, failure.to_string()).await),
            Err(error) => return Ok(self.undo(Some(interrupted(&error)), stopped(&error)).await),
        };
        self.host.only_read().await?;
        match self.strategy.validate(issue, &result, self.policy_host()).await {
            Ok(true) => {}
            Ok(false) => {
                let reason = "the strategy's own validation failed".to_owned();
                return Ok(self.undo(Some(result), reason).await);
            }
            Err(error) => return Ok(self.undo(Some(result), stopped(&error)).await),
        }
        let wrote_sql = self.host.commit_sql().await?;
        let settled = self.host.settle().await?;
        if !settled.failed.is_empty() {
            tracing::warn!(repair = self.id, "left behind: {}", settled.failed.join("; "));
        }

        let after = match self.measure_after(wrote_sql).await {
            Ok(after) => after,
            Err(error) => {
                let reason = format!("the repair could not be verified: {error:#}");
                return Ok(self.undo(Some(result), reason).await);
            }
        };
        let targets = Targets {
            recall: settings.recall_target,
            max_blind_share: settings.max_blind_share,
            max_unfindable_share: config.measure.max_unfindable_share,
        };
        match verify::judge(&issue.kind, &before.health, &after.health, &targets) {
            Verdict::Helped(reason) => {
                Ok(Tried { outcome: Outcome::Healed, reason, result: Some(result), after: Some(after) })
            }
            Verdict::DidNotHelp(reason) | Verdict::Unknown(reason) => {
                let mut tried = self.undo(Some(result), reason).await;
                tried.after = Some(after);
                Ok(tried)
            }
        }
    }

    /// On the same probes; found by name, because a swap gives the name to another OID. Where the host has just
    /// measured what the repair left, that is it.
    async fn measure_after(&self, wrote_sql: bool) -> anyhow::Result<Measurement> {
        let Attempt { connector, config, definition, progress, .. } = self.attempt;
        if !wrote_sql && let Some(measured) = self.host.measured_just_now().await? {
            return Ok(measured);
        }
        let name = &definition.name;
        let session = connector.connect("verify").await?;
        let definition = vector_indexes(&session, Some(&name.qualified()))
            .await?
            .into_iter()
            .next()
            .with_context(|| format!("{name} is gone"))?;
        let options = measure_options(config, &name.schema, &name.name);
        let probes = self.host.probes().await;
        Ok(measure(connector, &definition, &options, probes, progress.as_ref()).await?)
    }

    /// Takes back what the repair did: first the policy's own part, then everything the journal holds open,
    /// with or without the policy.
    async fn undo(&self, result: Option<RepairResult>, reason: String) -> Tried {
        let changed = match self.changed_anything().await {
            Ok(changed) => changed,
            Err(error) => {
                let reason = format!("{reason}; the journal cannot be read: {error:#}");
                return Tried { outcome: Outcome::RollbackFailed, reason, result, after: None };
            }
        };
        if changed && !self.attempt.config.healing.rollback_enabled {
            let reason = format!("{reason}; not rolled back, since rollback_enabled is false");
            return Tried { outcome: Outcome::Inconclusive, reason, result, after: None };
        }
        // A strategy that gave up by itself, with nothing changed, has nothing to take back.
        let result_to_undo = result.clone().or_else(|| changed.then(|| unfinished(&reason)));
        let policy_part = match &result_to_undo {
            Some(result) => self.policy_rollback(result).await,
            None => None,
        };
        let (outcome, reason) = match (self.host.undo_open().await, policy_part) {
            (Err(error), _) => (Outcome::RollbackFailed, format!("{reason}; the rollback failed: {error}")),
            (Ok(report), _) if !report.failed.is_empty() => {
                (Outcome::RollbackFailed, format!("{reason}; not undone: {}", report.failed.join("; ")))
            }
            (Ok(_), Some(failure)) if changed => {
                (Outcome::RollbackFailed, format!("{reason}; the strategy's rollback failed: {failure}"))
            }
            (Ok(_), None) if changed => (Outcome::RolledBack, reason),
            (Ok(_), Some(failure)) => (
                Outcome::Inconclusive,
                format!("nothing was changed: {reason}; the strategy's rollback failed, too: {failure}"),
            ),
            (Ok(_), None) => (Outcome::Inconclusive, format!("nothing was changed: {reason}")),
        };
        Tried { outcome, reason, result, after: None }
    }

    /// Why the policy could not take back its own part; None where it could.
    async fn policy_rollback(&self, result: &RepairResult) -> Option<String> {
        let issue = &self.attempt.item.diagnosis.issue;
        if let Err(error) = self.host.begin_policy_rollback().await {
            return Some(error.to_string());
        }
        match self.strategy.rollback(issue, result, self.policy_host()).await {
            Ok(Ok(())) => self.host.commit_sql().await.err().map(|error| error.to_string()),
            Ok(Err(failure)) => Some(failure.to_string()),
            Err(error) => Some(stopped(&error)),
        }
    }

    async fn changed_anything(&self) -> anyhow::Result<bool> {
        Ok(!self.attempt.journal.steps(self.id).await?.is_empty())
    }

    fn policy_host(&self) -> Arc<dyn PolicyHost> {
        Arc::clone(&self.host) as Arc<dyn PolicyHost>
    }
}

/// Strategy names in the configured order.
pub fn strategies_in_order(policies: &Policies) -> Vec<String> {
    policies.strategies().into_iter().map(|policy| policy.name).collect()
}

/// What a policy is told of the operator's wishes.
pub fn repair_context(config: &Config, diagnosis: &Diagnosis, refusals: &Refusals, dry_run: bool) -> RepairContext {
    let (schema, name) = diagnosis.issue.index.as_ref().map_or(("", ""), |i| (i.schema.as_str(), i.name.as_str()));
    RepairContext {
        diagnosis: diagnosis.clone(),
        recall_target: config.recall_target(schema, name),
        max_blind_share: config.measure.max_blind_share,
        dry_run,
        consent_irreversible: config.repair.allow_irreversible,
        reinsertion_refused: refusals.reinsertion.clone(),
        rebuild_refused: refusals.rebuild.clone(),
        parameter_refused: refusals.parameter.clone(),
        settings: Vec::new(),
    }
}

/// What the host's actions may do for this index.
pub fn repair_settings(config: &Config, definition: &IndexDefinition) -> RepairSettings {
    let r = &config.repair;
    let defaults = RepairSettings::default();
    RepairSettings {
        recall_target: config.recall_target(&definition.name.schema, &definition.name.name),
        max_blind_share: config.measure.max_blind_share,
        consents: Consents {
            irreversible: r.allow_irreversible,
            triggers: r.allow_reinsertion_with_triggers,
            logical_replication: r.allow_reinsertion_with_publications,
            foreign_settings: r.allow_overwriting_settings,
        },
        rollback_window: Duration::from_secs(u64::from(r.rollback_window_hours) * 3_600),
        maintenance_work_mem: r.maintenance_work_mem.clone().unwrap_or(defaults.maintenance_work_mem),
        max_transaction_age: Duration::from_secs(r.max_transaction_age_secs),
        lock_timeout: Duration::from_millis(r.swap_lock_timeout_ms),
        ..RepairSettings::default()
    }
}

/// What `rollback` is told of a repair that ended without a result.
fn unfinished(reason: &str) -> RepairResult {
    RepairResult {
        success: false,
        repair_type: "unfinished".to_owned(),
        duration_ms: 0,
        backup: None,
        details: vec![RepairDetail { name: "reason".to_owned(), value: reason.to_owned() }],
    }
}

fn interrupted(error: &CallError) -> RepairResult {
    let mut result = unfinished(&error.to_string());
    result.details.push(RepairDetail { name: "outcome".to_owned(), value: error.outcome().to_owned() });
    result
}

/// The role of a policy's own SQL.
fn policy_role(grant: &Grant) -> Option<PolicyRole> {
    Some(PolicyRole {
        user: grant.sql_role.clone()?,
        password: grant.sql_password_env.as_ref().and_then(|variable| std::env::var(variable).ok()),
        may_write: grant.sql_write,
    })
}

fn stopped(error: &CallError) -> String {
    format!("the strategy was stopped: {error}")
}
