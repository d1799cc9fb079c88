use super::Care;
use super::tables::Wanted;
use crate::daemon::api::{IssueView, Refusal};
use crate::model::RepairRecord;
use crate::postgres::TableName;

/// How many repairs are told at the most.
const LIMIT: u32 = 1_000;

impl Care {
    /// See `Engine::detected_issues`.
    ///
    /// # Errors
    /// An unknown table; nothing was looked at yet.
    pub fn detected_issues(&self, table: Option<&str>) -> Result<Vec<IssueView>, Refusal> {
        {
            let state = self.state();
            if state.last_cycle.is_none() {
                return Err(self.unavailable(&state));
            }
        }
        let leaves = table.map(|table| self.tables().resolve(table)).transpose()?;
        Ok(self.seen().issues(leaves.as_ref()))
    }

    /// See `Engine::history`. A table that is gone still has its history.
    ///
    /// # Errors
    /// A table that neither is there nor has a history; a database that cannot be worked with.
    pub async fn history(&self, table: Option<&str>, days: u32) -> Result<Vec<RepairRecord>, Refusal> {
        let Some(table) = table else {
            let journal = self.desk().await?;
            return self.answered(journal.history(days, LIMIT)).await;
        };
        let tables = self.tables();
        let (names, is_there) = match tables.resolve(table) {
            Ok(leaves) => (tables.names_of(&leaves), true),
            Err(refusal @ Refusal::UnknownTable(_)) => {
                let Wanted { schema, name } = Wanted::parse(table).ok_or(refusal)?;
                (vec![TableName { schema, name }], false)
            }
            Err(refusal) => return Err(refusal),
        };
        let journal = self.desk().await?;
        let records = self.answered(journal.history_of(&names, days, LIMIT)).await?;
        if records.is_empty() && !is_there {
            return Err(Refusal::UnknownTable(table.to_owned()));
        }
        Ok(records)
    }
}
