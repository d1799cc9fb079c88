use std::sync::Arc;
use std::time::Duration;

use super::Care;
use crate::daemon::api::{Caller, Refusal, RepairTicket, Role};
use crate::heal::Busy;
use crate::postgres::{Journal, JournalError, NewRequest};

/// A question to the journal takes milliseconds; a database that does not answer it for so long takes no repair, either.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

impl Care {
    /// See `Engine::repair`.
    ///
    /// # Errors
    /// What is unknown, running, or not permitted; a database that cannot be worked with.
    pub async fn repair(&self, table: &str, issue_id: &str, caller: &Caller) -> Result<RepairTicket, Refusal> {
        if caller.role < Role::Operator {
            return Err(Refusal::NotPermitted(format!(
                "repairs are asked for by operators and admins; {} is {}",
                caller.name,
                caller.role.with_article()
            )));
        }
        let repairer = self.repairer()?;
        let leaves = self.tables().resolve(table)?;
        let (issue, index) = self.seen().issue(&leaves, issue_id).ok_or_else(|| {
            Refusal::UnknownIssue(format!(
                "there is no issue {issue_id} on {table}: it was never seen, or is gone; see ruvector_dag_detected_issues"
            ))
        })?;
        let config = self.config();
        if config.is_excluded(&index.schema, &index.name) {
            return Err(Refusal::NotPermitted(format!(
                "pgheal's configuration excludes {index} from repairs (repair.exclude)"
            )));
        }
        let accepted = repairer.accept(&config, &issue, &index).map_err(|busy| match busy {
            Busy::Table(_) | Busy::Full(_) => Refusal::Running(busy.to_string()),
            Busy::Closed => Refusal::Unavailable(busy.to_string()),
        })?;
        let role = caller.role.name();
        let (table, index) = (index.qualified_table(), index.to_string());
        let request = NewRequest { caller: &caller.name, role, table: &table, index: &index, issue_id };
        let journal = self.desk().await?;
        let id = self.answered(journal.add_request(&request)).await?;
        tracing::info!(
            target_name = self.target.name,
            ticket = id,
            caller = caller.name,
            issue = issue_id,
            "a repair was asked for"
        );
        accepted.begin(id, &caller.name);
        Ok(RepairTicket {
            id,
            message: format!(
                "the repair of {issue_id} on {index} begins; its progress is in the active repairs of the status, its \
                 end in the history and in pgheal.requests ({id})"
            ),
        })
    }

    /// The journal for questions from outside, apart from the repairs.
    ///
    /// # Errors
    /// Where there is none, or the database does not answer in time.
    pub(super) async fn desk(&self) -> Result<Arc<Journal>, Refusal> {
        let connector = self.connector()?;
        let open = self.state().desk.clone();
        if let Some(journal) = open {
            return Ok(journal);
        }
        let Some(journal) = self.answered(Journal::open_existing(&connector)).await? else {
            return Err(self.no_desk("it has no schema pgheal yet"));
        };
        let journal = Arc::new(journal);
        self.state().desk = Some(Arc::clone(&journal));
        Ok(journal)
    }

    /// What the journal answers within the time limit.
    ///
    /// # Errors
    /// As the question; and where the answer takes too long.
    pub(super) async fn answered<T>(
        &self,
        question: impl Future<Output = Result<T, JournalError>>,
    ) -> Result<T, Refusal> {
        let refused = match tokio::time::timeout(ANSWER_WITHIN, question).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it does not answer within {} s", ANSWER_WITHIN.as_secs()),
        };
        // The next question gets a session of its own.
        self.state().desk = None;
        Err(self.no_desk(&refused))
    }

    fn no_desk(&self, reason: &str) -> Refusal {
        Refusal::Unavailable(format!("the journal of {} cannot be asked: {reason}", self.target.name))
    }
}
