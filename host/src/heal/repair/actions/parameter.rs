use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;
use tokio_postgres::Client;

use crate::components::{HostError, SettingScope};
use crate::heal::repair::error::{database_error, journal_error};
use crate::heal::repair::host::Work;
use crate::heal::repair::session::ActionSession;
use crate::heal::repair::settings::RepairSettings;
use crate::heal::repair::state::State;
use crate::model::{AccessMethod, quote_identifier};
use crate::postgres::{Action, Connector, Journal, Step, Undo, quote_literal};

/// What pgvector accepts (hnsw.h, ivfflat.h).
const EF_SEARCH: std::ops::RangeInclusive<u32> = 1..=1_000;
const PROBES: std::ops::RangeInclusive<u32> = 1..=32_768;

/// Sets a search parameter for the database, or for a role in it. A setting that somebody else made is never
/// overwritten without consent; the undo is the setting before.
pub async fn set_parameter(
    work: Arc<Work>,
    mut state: OwnedMutexGuard<State>,
    name: String,
    value: String,
    scope: SettingScope,
) -> Result<(), HostError> {
    check_allowed(&name, &value, &work.settings.more_parameters)?;
    let role = match &scope {
        SettingScope::Database => None,
        SettingScope::Role(role) => Some(role.clone()),
    };
    let session = ActionSession::open(&work.connector, "parameter").await?;
    load_library(&session).await?;
    let previous = current_setting(&session, &name, role.as_deref()).await?;
    let made = work.journal.setting_made(&name, role.as_deref()).await.map_err(journal_error)?;
    if !work.settings.consents.foreign_settings
        && let Some(owner) =
            foreign_setting(&session, &name, previous.as_deref(), made.as_deref(), role.is_none()).await?
    {
        return Err(HostError::Denied(refusal(&name, &owner)));
    }
    let statement = setting_statement(&session, &name, Some(&value), role.as_deref()).await?;
    let undo = Undo::RestoreSetting { name: name.clone(), made: value.clone(), previous, role: role.clone() };
    let step = Step::new(Action::SetParameter { name: name.clone(), value, role }, undo).on_object(&name);
    let step_id = work.begin(&step).await?;
    state.forget();
    match session.run(&statement).await {
        Ok(()) => work.done(step_id, None, "").await,
        Err(error) => Err(work.failed(step_id, error).await),
    }
}

/// Why the search parameter of `method` would not be set for the database, so that a policy need not measure first.
pub async fn parameter_refusal(
    connector: &Connector,
    journal: &Journal,
    method: AccessMethod,
    settings: &RepairSettings,
) -> Result<Option<String>, HostError> {
    if settings.consents.foreign_settings {
        return Ok(None);
    }
    let name = method.parameter();
    let session = ActionSession::open(connector, "parameter").await?;
    load_library(&session).await?;
    let previous = current_setting(&session, name, None).await?;
    let made = journal.setting_made(name, None).await.map_err(journal_error)?;
    let owner = foreign_setting(&session, name, previous.as_deref(), made.as_deref(), true).await?;
    Ok(owner.map(|owner| refusal(name, &owner)))
}

fn refusal(name: &str, owner: &str) -> String {
    format!(
        "{name} was set by somebody else ({owner}); pgheal does not overwrite it unasked (consent: foreign_settings)"
    )
}

fn check_allowed(name: &str, value: &str, more: &[String]) -> Result<(), HostError> {
    let range = if name == AccessMethod::Hnsw.parameter() {
        EF_SEARCH
    } else if name == AccessMethod::Ivfflat.parameter() {
        PROBES
    } else if more.iter().any(|allowed| allowed == name) {
        return Ok(());
    } else {
        return Err(HostError::Denied(format!("the operator does not allow policies to set {name}")));
    };
    if value.parse::<u32>().is_ok_and(|value| range.contains(&value)) {
        return Ok(());
    }
    Err(HostError::Denied(format!("{name} must be from {} to {}", range.start(), range.end())))
}

/// Until pgvector's library is loaded, its settings are placeholders without checks, which only a superuser
/// may set for a database.
async fn load_library(session: &ActionSession) -> Result<(), HostError> {
    let row = session
        .query_opt(
            "SELECT n.nspname::text FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
              WHERE e.extname = 'vector'",
            &[],
        )
        .await
        .map_err(|e| database_error(&e))?
        .ok_or_else(|| HostError::NotNow("pgvector is not installed in this database".to_owned()))?;
    let schema: String = row.get(0);
    session.run(&format!("SELECT '[1]'::{}.vector IS NULL", quote_identifier(&schema))).await
}

/// What ALTER DATABASE, or ALTER ROLE IN DATABASE, says of the parameter now.
pub async fn current_setting(client: &Client, name: &str, role: Option<&str>) -> Result<Option<String>, HostError> {
    let row = client
        .query_opt(
            "SELECT substr(c, strpos(c, '=') + 1) FROM pg_db_role_setting AS s, unnest(s.setconfig) AS c
              WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND s.setrole = coalesce((SELECT oid FROM pg_roles WHERE rolname = $2), 0)
                AND split_part(c, '=', 1) = $1",
            &[&name, &role],
        )
        .await
        .map_err(|e| database_error(&e))?;
    Ok(row.map(|row| row.get(0)))
}

/// Who set the parameter, if pgheal did not: at the same place, or (for the database) at one that the new setting
/// would hide.
async fn foreign_setting(
    client: &Client,
    name: &str,
    previous: Option<&str>,
    made: Option<&str>,
    for_database: bool,
) -> Result<Option<String>, HostError> {
    if let Some(previous) = previous {
        return Ok((Some(previous) != made).then(|| format!("ALTER DATABASE or ROLE, to {previous}")));
    }
    if !for_database {
        return Ok(None);
    }
    let row = client
        .query_opt(
            "SELECT source, reset_val FROM pg_settings WHERE name = $1
                AND source IN ('global', 'configuration file', 'command line', 'environment variable')",
            &[&name],
        )
        .await
        .map_err(|e| database_error(&e))?;
    Ok(row.map(|row| format!("{}, to {}", row.get::<_, String>(0), row.get::<_, String>(1))))
}

/// ALTER DATABASE or ALTER ROLE IN DATABASE; None resets.
pub async fn setting_statement(
    client: &Client,
    name: &str,
    value: Option<&str>,
    role: Option<&str>,
) -> Result<String, HostError> {
    let database: String =
        client.query_one("SELECT current_database()::text", &[]).await.map_err(|e| database_error(&e))?.get(0);
    Ok(statement(&database, name, value, role))
}

fn statement(database: &str, name: &str, value: Option<&str>, role: Option<&str>) -> String {
    let database = quote_identifier(database);
    let target = match role {
        Some(role) => format!("ROLE {} IN DATABASE {database}", quote_identifier(role)),
        None => format!("DATABASE {database}"),
    };
    // A setting's name is a dotted path of identifiers.
    let name: Vec<String> = name.split('.').map(quote_identifier).collect();
    let name = name.join(".");
    match value {
        Some(value) => format!("ALTER {target} SET {name} = {}", quote_literal(value)),
        None => format!("ALTER {target} RESET {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str, expected: bool) {
        assert_eq!(check_allowed(name, value, &["work_mem".to_owned()]).is_ok(), expected, "{name} = {value}");
    }

    #[test]
    fn only_allowed_parameters_and_values_pass() {
        check("hnsw.ef_search", "80", true);
        check("hnsw.ef_search", "0", false);
        check("hnsw.ef_search", "1001", false);
        check("hnsw.ef_search", "80; DROP TABLE t", false);
        check("ivfflat.probes", "32768", true);
        check("work_mem", "64MB", true);
        check("session_preload_libraries", "x", false);
        check("role", "postgres", false);
    }

    #[test]
    fn statements_quote_every_name() {
        assert_eq!(
            statement("my \"db\"", "hnsw.ef_search", Some("80"), None),
            "ALTER DATABASE \"my \"\"db\"\"\" SET \"hnsw\".\"ef_search\" = '80'"
        );
        assert_eq!(
            statement("db", "ivfflat.probes", None, Some("app")),
            "ALTER ROLE \"app\" IN DATABASE \"db\" RESET \"ivfflat\".\"probes\""
        );
    }
}
