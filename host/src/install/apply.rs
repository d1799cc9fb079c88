use std::sync::{Arc, Mutex, PoisonError};

use tokio_postgres::Client;
use tokio_postgres::error::DbError;

use super::script::{INSTALL, PASSWORD, QUIET, UNINSTALL};
use super::{FUNCTIONS_VERSION, Parameters};
use crate::postgres::{ConnectError, Connector, Session, describe_error, quote_literal};

/// Why it did not come to its end, in PostgreSQL's words.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("nothing was changed: {0}")]
    Refused(String),
    #[error("it is installed, but could not be tried: {0}")]
    Untried(String),
}

/// What an installation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    pub database: String,
    pub version: i32,
    pub has_page_reader: bool,
    /// Why the functions cannot open their second session on the server: they are there, and cannot be called.
    pub hop_problem: Option<String>,
    /// Why the daemon does not answer yet; None: it does.
    pub daemon_problem: Option<String>,
    /// Warnings of the server.
    pub warnings: Vec<String>,
}

/// What was left in the database, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uninstalled {
    pub database: String,
    pub was_installed: bool,
    pub left: Vec<String>,
}

/// Installs, or brings what is installed up to date, in one transaction; then tries whether it works.
pub async fn install(
    connector: &Connector,
    parameters: &Parameters,
    password: &str,
) -> Result<Installed, InstallError> {
    let (mut session, told) = connect(connector).await?;
    put_in(&mut session, parameters, password).await.map_err(|error| InstallError::Refused(words(&error)))?;
    let mut installed = try_out(&session, parameters).await.map_err(|error| InstallError::Untried(words(&error)))?;
    installed.warnings = told.take();
    Ok(installed)
}

async fn put_in(session: &mut Session, parameters: &Parameters, password: &str) -> Result<(), tokio_postgres::Error> {
    let transaction = session.client_mut().transaction().await?;
    transaction.batch_execute(QUIET).await?;
    for (name, value) in parameters.settings() {
        transaction.execute("SELECT pg_catalog.set_config($1, $2, true)", &[&name, &value]).await?;
    }
    transaction.execute("SELECT pg_catalog.set_config($1, $2, true)", &[&PASSWORD, &password]).await?;
    for part in INSTALL {
        transaction.batch_execute(part).await?;
    }
    transaction.commit().await
}

async fn try_out(client: &Client, parameters: &Parameters) -> Result<Installed, tokio_postgres::Error> {
    let hop_problem = match hop_problem(client).await? {
        Some(problem) if parameters.hop.is_none() => find_hop(client, problem).await?,
        known => known,
    };
    let daemon_problem = match hop_problem {
        Some(_) => None,
        None => {
            client.execute("SELECT pgheal.ruvector_dag_healing_status()", &[]).await.err().map(|error| words(&error))
        }
    };
    let row = client
        .query_one(
            "SELECT current_database()::text,
                pg_catalog.to_regprocedure('pgheal.read_index_pages(regclass, bigint, bigint)') IS NOT NULL",
            &[],
        )
        .await?;
    Ok(Installed {
        database: row.try_get(0)?,
        version: FUNCTIONS_VERSION,
        has_page_reader: row.try_get(1)?,
        hop_problem,
        daemon_problem,
        warnings: Vec::new(),
    })
}

/// Takes back what was installed, in one transaction. The history of repairs stays.
pub async fn uninstall(connector: &Connector) -> Result<Uninstalled, InstallError> {
    let (mut session, told) = connect(connector).await?;
    let (database, was_installed) =
        take_out(&mut session).await.map_err(|error| InstallError::Refused(words(&error)))?;
    Ok(Uninstalled { database, was_installed, left: told.take() })
}

async fn take_out(session: &mut Session) -> Result<(String, bool), tokio_postgres::Error> {
    let row = session
        .query_one("SELECT current_database()::text, pg_catalog.to_regclass('pgheal.installation') IS NOT NULL", &[])
        .await?;
    let transaction = session.client_mut().transaction().await?;
    transaction.batch_execute(UNINSTALL).await?;
    transaction.commit().await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

async fn hop_problem(client: &Client) -> Result<Option<String>, tokio_postgres::Error> {
    client.query_one("SELECT pgheal.test_hop()", &[]).await?.try_get(0)
}

/// Which way this server lets its own sessions in differs with pg_hba.conf and listen_addresses: the first that works is
/// taken. None: found; else the first one's problem, with everything as it was.
async fn find_hop(client: &Client, problem: String) -> Result<Option<String>, tokio_postgres::Error> {
    let chosen: Option<String> = client
        .query_one(
            "SELECT (SELECT o.option_value FROM pg_catalog.pg_options_to_table(s.srvoptions) AS o WHERE o.option_name = 'host')
               FROM pg_catalog.pg_foreign_server AS s WHERE s.srvname = 'pgheal_hop'",
            &[],
        )
        .await?
        .try_get(0)?;
    let mut candidates = vec!["127.0.0.1".to_owned(), "::1".to_owned()];
    // Ordinary roles may not see where the sockets are.
    if let Ok(row) = client.query_one("SELECT pg_catalog.current_setting('unix_socket_directories')", &[]).await {
        let directories: String = row.try_get(0)?;
        candidates.extend(directories.split(',').map(|d| d.trim().to_owned()).filter(|d| d.starts_with('/')));
    }
    for candidate in candidates.iter().filter(|candidate| Some(*candidate) != chosen.as_ref()) {
        point_hop(client, candidate).await?;
        if hop_problem(client).await?.is_none() {
            return Ok(None);
        }
    }
    if let Some(chosen) = chosen {
        point_hop(client, &chosen).await?;
    }
    Ok(Some(problem))
}

async fn point_hop(client: &Client, host: &str) -> Result<(), tokio_postgres::Error> {
    let statement = format!("ALTER SERVER pgheal_hop OPTIONS (SET host {})", quote_literal(host));
    client.batch_execute(&statement).await
}

/// What the server told besides its answers.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn push(&self, notice: &DbError) {
        let mut text = notice.message().to_owned();
        for more in [notice.detail(), notice.hint()].into_iter().flatten() {
            text = format!("{text}; {more}");
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn connect(connector: &Connector) -> Result<(Session, Told), InstallError> {
    let told = Told::default();
    let hears = told.clone();
    let session = connector.connect_hearing("install", move |notice| hears.push(notice)).await?;
    Ok((session, told))
}

fn words(error: &tokio_postgres::Error) -> String {
    describe_error(error).1
}
