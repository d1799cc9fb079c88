use crate::endpoint::sql::{Refused, Tokens};

/// What clients say around their statements. Nothing can be undone here (a repair that was asked for is asked for), but
/// drivers expect the session to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::endpoint) enum Transaction {
    Begin { tag: &'static str },
    Commit,
    Rollback,
    Savepoint,
    Release,
    RollbackTo,
}

impl Transaction {
    pub(super) fn read(tokens: &mut Tokens) -> Result<Transaction, Refused> {
        let first = tokens.identifier()?;
        if !matches!(first.as_str(), "savepoint" | "release") {
            let _ = tokens.take_word("transaction") || tokens.take_word("work");
        }
        let transaction = match first.as_str() {
            // Isolation levels and READ ONLY follow; they make no difference.
            "begin" => return Ok(Transaction::Begin { tag: "BEGIN" }),
            "start" => return Ok(Transaction::Begin { tag: "START TRANSACTION" }),
            "savepoint" => {
                tokens.identifier()?;
                Transaction::Savepoint
            }
            "release" => {
                tokens.take_word("savepoint");
                tokens.identifier()?;
                Transaction::Release
            }
            "rollback" | "abort" if tokens.take_word("to") => {
                tokens.take_word("savepoint");
                tokens.identifier()?;
                Transaction::RollbackTo
            }
            "rollback" | "abort" => Transaction::Rollback,
            _ => Transaction::Commit,
        };
        tokens.end()?;
        Ok(transaction)
    }

    /// Whether it gets a session out of a failed transaction.
    pub(in crate::endpoint) fn heals(self) -> bool {
        matches!(self, Transaction::Commit | Transaction::Rollback | Transaction::RollbackTo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::sql::split;

    #[test]
    fn all_forms_are_read() {
        let check = |sql: &str, expected: Option<Transaction>| {
            assert_eq!(Transaction::read(&mut split(sql).unwrap().remove(0)).ok(), expected, "{sql}");
        };
        check("BEGIN", Some(Transaction::Begin { tag: "BEGIN" }));
        check("BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY", Some(Transaction::Begin { tag: "BEGIN" }));
        check("START TRANSACTION", Some(Transaction::Begin { tag: "START TRANSACTION" }));
        check("COMMIT WORK", Some(Transaction::Commit));
        check("END", Some(Transaction::Commit));
        check("ROLLBACK", Some(Transaction::Rollback));
        check("ROLLBACK TO SAVEPOINT a", Some(Transaction::RollbackTo));
        check("ROLLBACK TO \"_pg3_1\"", Some(Transaction::RollbackTo));
        check("SAVEPOINT a", Some(Transaction::Savepoint));
        check("RELEASE a", Some(Transaction::Release));
        check("COMMIT PREPARED 'x'", None);
        check("SAVEPOINT", None);
    }
}
