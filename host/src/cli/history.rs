use super::arguments::HistoryCommand;
use super::{ExitStatus, report};
use crate::cli::output::say;
use crate::postgres::{Connector, Journal};

/// How many repairs are shown at the most.
const LIMIT: u32 = 1_000;

pub(super) async fn history(command: HistoryCommand) -> anyhow::Result<ExitStatus> {
    let connector = Connector::parse(&command.url)?;
    // None: pgheal never repaired anything here. Reading creates nothing.
    let records = match Journal::open_existing(&connector).await? {
        Some(journal) => Some(journal.history(command.days, LIMIT).await?),
        None => None,
    };
    if command.json {
        say!("{}", serde_json::to_string_pretty(&records.unwrap_or_default())?);
        return Ok(ExitStatus::Healthy);
    }
    match records {
        None => say!("pgheal has not repaired anything in this database."),
        Some(records) if records.is_empty() => say!("No repair in the last {} days.", command.days),
        Some(records) => say!("{}", report::repairs_table(&records)),
    }
    Ok(ExitStatus::Healthy)
}
