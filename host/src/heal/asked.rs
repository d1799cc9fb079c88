use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;

use super::attempt::{Attempt, Ended};
use super::observe::{IndexFindings, observe};
use super::running::{Busy, Repairs, Reservation};
use super::witness::Witness;
use crate::components::Policies;
use crate::config::Config;
use crate::model::{AgendaItem, Diagnosis, IndexName, Issue, Progress, RepairRecord};
use crate::postgres::{Connector, Journal, server_facts, vector_indexes};

/// The agenda's highest: who asks does not wait behind what the loop would do first.
const PRIORITY: f64 = 100.0;

/// Repairs what somebody asks for, beside the loop. Everything that holds for the loop's repairs holds for these, but
/// the pause after a repair that failed.
#[derive(Clone)]
pub struct Repairer {
    pub(super) connector: Connector,
    pub(super) policies: Arc<Policies>,
    pub(super) journal: Arc<Journal>,
    pub(super) progress: Arc<dyn Progress>,
    pub(super) witness: Arc<dyn Witness>,
    pub(super) repairs: Arc<Repairs>,
}

/// A repair that can begin: its table is taken. Dropped, it is free again.
pub struct Accepted {
    repairer: Repairer,
    reservation: Reservation,
    config: Arc<Config>,
    issue: Issue,
    index: IndexName,
}

impl Repairer {
    pub fn repairs(&self) -> &Arc<Repairs> {
        &self.repairs
    }

    /// Takes the issue's table for its repair.
    ///
    /// # Errors
    /// Where a repair works on that table, or as many run as the configuration allows.
    pub fn accept(&self, config: &Arc<Config>, issue: &Issue, index: &IndexName) -> Result<Accepted, Busy> {
        let limit = config.healing.max_concurrent_repairs;
        let reservation = self.repairs.reserve(issue, index, limit, &self.progress)?;
        Ok(Accepted {
            repairer: self.clone(),
            reservation,
            config: Arc::clone(config),
            issue: issue.clone(),
            index: index.clone(),
        })
    }
}

impl Accepted {
    /// Begins it in the background; how it ends is in the history, and in the request of this ticket.
    pub fn begin(self, ticket: i64, caller: &str) {
        let Accepted { repairer, reservation, config, issue, index } = self;
        reservation.set_ticket(ticket);
        let asked = Asked {
            repairer,
            config,
            issue,
            index,
            progress: reservation.progress(),
            caller: caller.to_owned(),
            ticket,
        };
        reservation.run(asked.run());
    }
}

struct Asked {
    repairer: Repairer,
    config: Arc<Config>,
    issue: Issue,
    index: IndexName,
    progress: Arc<dyn Progress>,
    caller: String,
    ticket: i64,
}

impl Asked {
    async fn run(self) -> anyhow::Result<Ended> {
        let ticket = self.ticket;
        let journal = Arc::clone(&self.repairer.journal);
        let begun = Instant::now();
        let (ended, answer) = match self.look().await {
            Err(error) => (Ok(self.not_needed(begun)), format!("nothing was done: not measured: {error:#}")),
            Ok((_, None)) => {
                (Ok(self.not_needed(begun)), "nothing was done: measured anew, the issue is gone".to_owned())
            }
            Ok((found, Some(diagnosis))) => {
                let ended = self.attempt(found, diagnosis).run().await;
                let answer =
                    ended.as_ref().map_or_else(|error| format!("it was not carried through: {error:#}"), answer);
                (ended, answer)
            }
        };
        let repairs: Vec<i64> = ended.iter().flat_map(|ended| &ended.records).map(|record| record.id).collect();
        if let Err(error) = journal.finish_request(ticket, &repairs, &answer).await {
            tracing::error!(ticket, "the end of a request could not be written: {error:#}");
        }
        ended
    }

    fn not_needed(&self, begun: Instant) -> Ended {
        Ended {
            issue_id: self.issue.id.clone(),
            records: Vec::new(),
            took_ms: begun.elapsed().as_millis() as u64,
            not_needed: true,
        }
    }

    fn attempt(self, found: IndexFindings, diagnosis: Diagnosis) -> Attempt {
        let Asked { repairer, config, progress, caller, ticket, .. } = self;
        repairer.repairs.initiated();
        Attempt {
            connector: repairer.connector,
            config,
            policies: repairer.policies,
            journal: repairer.journal,
            progress,
            item: AgendaItem {
                diagnosis,
                priority: PRIORITY,
                reason: format!("{caller} asked for it, ticket {ticket}"),
            },
            definition: found.definition,
            before: found.measurement,
        }
    }

    /// What the last cycle saw may be past: the index is measured anew. None: the issue is gone.
    async fn look(&self) -> anyhow::Result<(IndexFindings, Option<Diagnosis>)> {
        let session = self.repairer.connector.connect("check").await?;
        let facts = server_facts(&session).await?;
        let definition = vector_indexes(&session, Some(&self.index.qualified()))
            .await?
            .into_iter()
            .next()
            .with_context(|| format!("{} is gone", self.index))?;
        drop(session);
        let found = observe(&self.repairer.connector, &facts, definition, &self.config, self.progress.as_ref()).await?;
        self.repairer.witness.measured(&found);
        let diagnosis = found.diagnoses.iter().find(|diagnosis| diagnosis.issue.id == self.issue.id).cloned();
        Ok((found, diagnosis))
    }
}

/// How the repairs ended, in words.
fn answer(ended: &Ended) -> String {
    if ended.records.is_empty() {
        return "nothing was done: no strategy repairs this kind of issue".to_owned();
    }
    let in_words = |record: &RepairRecord| {
        let outcome = record.outcome.map_or("unfinished", |outcome| outcome.name());
        format!("{} (repair {}): {outcome}: {}", record.strategy, record.id, record.reason)
    };
    ended.records.iter().map(in_words).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Outcome;

    fn record(id: i64, outcome: Outcome) -> RepairRecord {
        RepairRecord {
            id,
            issue_id: "low_recall-1".to_owned(),
            issue_kind: "low_recall".to_owned(),
            index: None,
            strategy: format!("strategy_{id}"),
            digest: String::new(),
            started_at: String::new(),
            finished_at: None,
            outcome: Some(outcome),
            result: None,
            reason: "as measured".to_owned(),
            before: serde_json::Value::Null,
            after: serde_json::Value::Null,
        }
    }

    fn check(records: Vec<RepairRecord>, expected: &str) {
        let ended = Ended { issue_id: "low_recall-1".to_owned(), records, took_ms: 1, not_needed: false };
        assert_eq!(answer(&ended), expected);
    }

    #[test]
    fn the_answer_tells_every_repair() {
        check(vec![], "nothing was done: no strategy repairs this kind of issue");
        check(
            vec![record(3, Outcome::Inconclusive), record(4, Outcome::Healed)],
            "strategy_3 (repair 3): inconclusive: as measured; strategy_4 (repair 4): healed: as measured",
        );
    }
}
