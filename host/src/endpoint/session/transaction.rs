use pgwire::messages::response::TransactionStatus;

use super::Session;
use crate::endpoint::commands::{Answer, Discard, Transaction};
use crate::endpoint::sql::Refused;

impl Session {
    /// Follows what the client says of its transaction.
    pub(super) fn transact(&mut self, transaction: Transaction) -> Result<Answer, Refused> {
        let is_open = self.transaction != TransactionStatus::Idle;
        let tag = match transaction {
            Transaction::Begin { tag } => {
                if is_open {
                    self.wire.warn("25001", "there is already a transaction in progress");
                } else {
                    self.transaction = TransactionStatus::Transaction;
                }
                tag
            }
            Transaction::Commit | Transaction::Rollback => {
                if !is_open {
                    self.wire.warn("25P01", "there is no transaction in progress");
                }
                let has_failed = self.transaction == TransactionStatus::Error;
                self.transaction = TransactionStatus::Idle;
                if transaction == Transaction::Commit && !has_failed { "COMMIT" } else { "ROLLBACK" }
            }
            _ if !is_open => {
                return Err(Refused::new("25P01", "savepoints can only be used in transaction blocks"));
            }
            Transaction::Savepoint => "SAVEPOINT",
            Transaction::Release => "RELEASE",
            Transaction::RollbackTo => {
                self.transaction = TransactionStatus::Transaction;
                "ROLLBACK"
            }
        };
        Ok(Answer::done(tag))
    }

    /// Forgets what the session has gathered.
    pub(super) fn discard(&mut self, discard: Discard) -> Result<Answer, Refused> {
        let mut answer = Answer::done(discard.tag());
        if discard == Discard::All {
            if self.transaction != TransactionStatus::Idle {
                return Err(Refused::new("25001", "DISCARD ALL cannot run inside a transaction block"));
            }
            self.statements.clear();
            answer.told = self.context.session.client.reset();
        }
        Ok(answer)
    }
}
