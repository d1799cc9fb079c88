use super::arguments::HistoryCommand;
use super::{ExitStatus, report};
use crate::postgres::{Connector, read_history};

/// How many repairs are shown at the most.
const LIMIT: i64 = 1_000;

pub(super) async fn history(command: HistoryCommand) -> anyhow::Result<ExitStatus> {
    let connector = Connector::parse(&command.url)?;
    let session = connector.connect("history").await?;
    // None: pgheal never repaired anything here. Reading creates nothing.
    let records = read_history(&session, Some(command.days), LIMIT).await?;
    if command.json {
        println!("{}", serde_json::to_string_pretty(&records.unwrap_or_default())?);
        return Ok(ExitStatus::Healthy);
    }
    match records {
        None => println!("pgheal has not repaired anything in this database."),
        Some(records) if records.is_empty() => println!("No repair in the last {} days.", command.days),
        Some(records) => println!("{}", report::repairs_table(&records)),
    }
    Ok(ExitStatus::Healthy)
}
