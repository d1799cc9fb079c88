use super::{Journal, JournalError};

/// Somebody asks for a repair.
pub struct NewRequest<'a> {
    /// Who asks, as pgheal was told.
    pub caller: &'a str,
    /// What he may: `operator` or `admin`.
    pub role: &'a str,
    /// Qualified names.
    pub table: &'a str,
    pub index: &'a str,
    pub issue_id: &'a str,
}

impl Journal {
    /// Writes down who asked for what; the id is the ticket.
    ///
    /// # Errors
    /// Without the entry nothing is repaired.
    pub async fn add_request(&self, request: &NewRequest<'_>) -> Result<i64, JournalError> {
        let session = self.session().await?;
        let row = session
            .query_one(
                "INSERT INTO pgheal.requests (caller, caller_role, table_name, index_name, issue_id)
                 VALUES ($1, $2, $3, $4, $5) RETURNING id",
                &[&request.caller, &request.role, &request.table, &request.index, &request.issue_id],
            )
            .await?;
        Ok(row.get(0))
    }

    /// What became of it: the repairs that were made, and in words how they ended.
    ///
    /// # Errors
    /// The request stays open; the next leader closes it.
    pub async fn finish_request(&self, id: i64, repairs: &[i64], answer: &str) -> Result<(), JournalError> {
        let session = self.session().await?;
        session
            .execute(
                "UPDATE pgheal.requests SET state = 'ended', repairs = $2, answer = $3, ended_at = now() WHERE id = $1",
                &[&id, &repairs, &answer],
            )
            .await?;
        Ok(())
    }

    /// Closes the requests that an earlier pgheal left open. For the leader only.
    ///
    /// # Errors
    /// As every use of the journal.
    pub async fn abandon_requests(&self) -> Result<u64, JournalError> {
        let session = self.session().await?;
        Ok(session
            .execute(
                "UPDATE pgheal.requests
                    SET state = 'abandoned', ended_at = now(),
                        answer = 'pgheal ended before this repair did; what it had begun was resolved from the journal'
                  WHERE state = 'accepted'",
                &[],
            )
            .await?)
    }
}
