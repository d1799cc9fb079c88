use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;

use super::observe::measure_options;
use super::repair::{self, Refusals, RepairHost, RepairSettings, UndoReport};
use super::verify::{self, Targets, Verdict};
use crate::components::{CallError, Policies, PolicyHost, RepairContext, RepairFailure};
use crate::config::Config;
use crate::measure::{Measurement, measure};
use crate::model::{AgendaItem, Diagnosis, IndexDefinition, Outcome, Progress, RepairRecord, RepairResult};
use crate::postgres::{Connector, Journal};

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
    pub async fn run(self) -> anyhow::Result<Ended> {
        let started = Instant::now();
        let issue = &self.item.diagnosis.issue;
        let session = self.connector.connect("repair").await?;
        let settings = repair_settings(&self.config, &self.definition);
        let refusals = repair::refusals(&session, &self.definition, &settings).await?;
        drop(session);

        let mut records = Vec::new();
        for name in strategies_in_order(&self.policies, &self.config) {
            match self.policies.can_repair(&name, issue).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    tracing::error!(policy = name, "can_repair failed: {error}");
                    continue;
                }
            }
            let (record, go_on) = self.try_strategy(&name, &settings, &refusals).await?;
            records.push(record);
            if !go_on {
                break;
            }
        }
        if records.is_empty() {
            tracing::info!(issue = issue.id, "no strategy repairs this kind of issue");
        }
        Ok(Ended { issue_id: issue.id.clone(), records, took_ms: started.elapsed().as_millis() as u64 })
    }

    /// One strategy, from its entry in the history to its outcome. True: nothing was changed, the next may try.
    async fn try_strategy(
        &self,
        name: &str,
        settings: &RepairSettings,
        refusals: &Refusals,
    ) -> anyhow::Result<(RepairRecord, bool)> {
        let digest = self.policies.digest(name).unwrap_or_default();
        let before = crate::cli::report::measurement_json(&self.before.health);
        let id = self
            .journal
            .start_repair(&self.item, name, &digest, before)
            .await
            .context("the repair's entry in the history")?;
        let host = RepairHost::new(
            self.connector.clone(),
            Arc::clone(&self.journal),
            id,
            self.definition.clone(),
            settings.clone(),
            measure_options(&self.config, &self.definition.name.schema, &self.definition.name.name),
            self.before.probes.clone(),
            self.before.health.clone(),
            Arc::clone(&self.progress),
        );
        tracing::info!(repair = id, strategy = name, issue = self.item.diagnosis.issue.id, "repair begins");
        let tried = self.carry_out(name, &host, refusals, settings).await;
        let changed = host.changed_anything();
        let tried = match tried {
            Ok(tried) => tried,
            Err(error) => self.undo(name, &host, None, format!("{error:#}")).await,
        };
        tracing::info!(repair = id, outcome = tried.outcome.name(), "repair ended: {}", tried.reason);
        let after = tried
            .after
            .as_ref()
            .map_or(serde_json::Value::Null, |m| crate::cli::report::measurement_json(&m.health));
        let record = self
            .journal
            .finish_repair(id, tried.outcome, tried.result.as_ref(), &tried.reason, after)
            .await
            .context("the repair's outcome in the history")?;
        let go_on = !changed && tried.outcome == Outcome::Inconclusive;
        Ok((record, go_on))
    }

    async fn carry_out(
        &self,
        name: &str,
        host: &Arc<RepairHost>,
        refusals: &Refusals,
        settings: &RepairSettings,
    ) -> anyhow::Result<Tried> {
        let issue = &self.item.diagnosis.issue;
        let context = repair_context(&self.config, name, &self.item.diagnosis, refusals, false);
        let policy_host: Arc<dyn PolicyHost> = Arc::clone(host) as Arc<dyn PolicyHost>;
        let answer = self.policies.repair(name, issue, &context, Arc::clone(&policy_host)).await;
        let result = match answer {
            Ok(Ok(result)) if result.success => result,
            Ok(Ok(result)) => {
                return Ok(self.undo(name, host, Some(result), "the strategy reports no success".to_owned()).await);
            }
            Ok(Err(failure)) => return Ok(self.undo(name, host, None, explain(&failure)).await),
            Err(error) => return Ok(self.undo(name, host, None, explain_call(&error)).await),
        };
        match self.policies.validate(name, issue, &result, policy_host).await {
            Ok(true) => {}
            Ok(false) => {
                let reason = "the strategy's own validation failed".to_owned();
                return Ok(self.undo(name, host, Some(result), reason).await);
            }
            Err(error) => return Ok(self.undo(name, host, Some(result), explain_call(&error)).await),
        }

        let definition = host.current_definition().await?;
        let options = measure_options(&self.config, &self.definition.name.schema, &self.definition.name.name);
        let after =
            measure(&self.connector, &definition, &options, self.before.probes.clone(), self.progress.as_ref())
                .await
                .context("the measurement after the repair")?;
        let targets = Targets {
            recall: settings.recall_target,
            max_blind_share: settings.max_blind_share,
            max_unfindable_share: self.config.measure.max_unfindable_share,
        };
        match verify::judge(&issue.kind, &self.before.health, &after.health, &targets) {
            Verdict::Helped(reason) => {
                Ok(Tried { outcome: Outcome::Healed, reason, result: Some(result), after: Some(after) })
            }
            Verdict::DidNotHelp(reason) | Verdict::Unknown(reason) => {
                let mut tried = self.undo(name, host, Some(result), reason).await;
                tried.after = Some(after);
                Ok(tried)
            }
        }
    }

    /// Takes back what the repair did: first the policy's own part, then everything the journal holds open,
    /// with or without the policy.
    async fn undo(&self, name: &str, host: &Arc<RepairHost>, result: Option<RepairResult>, reason: String) -> Tried {
        let changed = host.changed_anything();
        if changed && !self.config.healing.rollback_enabled {
            let reason = format!("{reason}; not rolled back, since rollback_enabled is false");
            return Tried { outcome: Outcome::Inconclusive, reason, result, after: None };
        }
        let policy_part = match &result {
            Some(result) => {
                let policy_host: Arc<dyn PolicyHost> = Arc::clone(host) as Arc<dyn PolicyHost>;
                match self.policies.rollback(name, result, policy_host).await {
                    Ok(Ok(())) => None,
                    Ok(Err(failure)) => Some(explain(&failure)),
                    Err(error) => Some(explain_call(&error)),
                }
            }
            None => None,
        };
        let undone: anyhow::Result<UndoReport> = host.undo_open().await;
        let (outcome, reason) = match (undone, policy_part) {
            (Err(error), _) => (Outcome::RollbackFailed, format!("{reason}; the rollback failed: {error:#}")),
            (Ok(report), _) if report.failed > 0 => {
                (Outcome::RollbackFailed, format!("{reason}; {} steps could not be undone", report.failed))
            }
            (Ok(_), Some(failure)) => {
                (Outcome::RollbackFailed, format!("{reason}; the strategy's rollback failed: {failure}"))
            }
            (Ok(_), None) if changed => (Outcome::RolledBack, reason),
            (Ok(_), None) => (Outcome::Inconclusive, format!("nothing was changed: {reason}")),
        };
        Tried { outcome, reason, result, after: None }
    }
}

/// Strategy names: the configured order first, then the others by name.
pub fn strategies_in_order(policies: &Policies, config: &Config) -> Vec<String> {
    let mut names: Vec<String> = policies.strategies().iter().map(|p| p.name.clone()).collect();
    let place = |name: &str| config.policies.order.iter().position(|o| o == name).unwrap_or(usize::MAX);
    names.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.cmp(b)));
    names
}

/// What a policy is told of the operator's wishes.
pub fn repair_context(
    config: &Config,
    policy: &str,
    diagnosis: &Diagnosis,
    refusals: &Refusals,
    dry_run: bool,
) -> RepairContext {
    let (schema, name) = diagnosis.issue.index.as_ref().map_or(("", ""), |i| (i.schema.as_str(), i.name.as_str()));
    RepairContext {
        diagnosis: diagnosis.clone(),
        recall_target: config.recall_target(schema, name),
        max_blind_share: config.measure.max_blind_share,
        dry_run,
        consent_irreversible: config.repair.allow_irreversible,
        reinsertion_refused: refusals.reinsertion.clone(),
        rebuild_refused: refusals.rebuild.clone(),
        settings: config
            .policies
            .settings
            .get(policy)
            .map(|s| s.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
            .unwrap_or_default(),
    }
}

/// What the host's actions may do for this index.
pub fn repair_settings(config: &Config, definition: &IndexDefinition) -> RepairSettings {
    let r = &config.repair;
    RepairSettings {
        recall_target: config.recall_target(&definition.name.schema, &definition.name.name),
        max_blind_share: config.measure.max_blind_share,
        rollback_window: std::time::Duration::from_secs(u64::from(r.rollback_window_hours) * 3_600),
        allow_irreversible: r.allow_irreversible,
        allow_reinsertion_with_triggers: r.allow_reinsertion_with_triggers,
        allow_overwriting_settings: r.allow_overwriting_settings,
        swap_lock_timeout: std::time::Duration::from_millis(r.swap_lock_timeout_ms),
        max_transaction_age: std::time::Duration::from_secs(r.max_transaction_age_secs),
        maintenance_work_mem: r.maintenance_work_mem.clone(),
        policy_role: r.policy_role.clone().map(|role| {
            (role, r.policy_role_password_env.as_ref().and_then(|variable| std::env::var(variable).ok()))
        }),
    }
}

fn explain(failure: &RepairFailure) -> String {
    failure.to_string()
}

fn explain_call(error: &CallError) -> String {
    format!("the strategy was stopped: {error}")
}
