use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use pgheal::config::{EndpointConfig, EndpointUser};
use pgheal::daemon::api::Role;
use pgheal::endpoint::{Endpoint, serve};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::played::Played;
use crate::cases::support::workspace;

pub const PASSWORD: &str = "pa'ss wörd";

/// A running endpoint with users `reader`, `operator`, `admin` and `forwarder`, and its files.
pub struct Served {
    pub endpoint: Endpoint,
    pub engine: Arc<Played>,
    pub config: EndpointConfig,
    pub directory: Directory,
    pub port: u16,
}

/// Goes with its value.
pub struct Directory(pub PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Directory {
    fn new() -> Result<Directory> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("pgheal-endpoint-{}-{number}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Directory(path))
    }

    /// A file that only its owner reads.
    pub fn secret(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        use std::io::Write;
        let path = self.0.join(name);
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?.write_all(content)?;
        Ok(path)
    }
}

fn data(file: &str) -> PathBuf {
    workspace().join("tests/data/tls").join(file)
}

impl Served {
    pub async fn start() -> Result<Served> {
        Served::with(|_| {}).await
    }

    /// With changes to the configuration.
    pub async fn with(change: impl FnOnce(&mut EndpointConfig)) -> Result<Served> {
        let directory = Directory::new()?;
        let password = directory.secret("password", format!("{PASSWORD}\n").as_bytes())?;
        let key = directory.secret("server.key", &fs::read(data("server.key"))?)?;
        let user =
            |role, forwards| EndpointUser { password_env: None, password_file: Some(password.clone()), role, forwards };
        let mut config = EndpointConfig {
            listen: Some("127.0.0.1:0".to_owned()),
            socket_directory: Some(directory.0.clone()),
            tls_certificate: Some(data("server.crt")),
            tls_key: Some(key),
            ..EndpointConfig::default()
        };
        for (name, role, forwards) in [
            ("reader", Role::Reader, false),
            ("operator", Role::Operator, false),
            ("admin", Role::Admin, false),
            ("forwarder", Role::Reader, true),
        ] {
            config.user.insert(name.to_owned(), user(role, forwards));
        }
        change(&mut config);
        let engine = Arc::new(Played::default());
        let endpoint = serve(&config, engine.clone()).await?;
        let port = endpoint.address().context("no address")?.port();
        Ok(Served { endpoint, engine, config, directory, port })
    }

    pub fn client(&self, user: &str) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).user(user).password(PASSWORD).dbname("shop");
        config
    }

    /// Over TCP, in clear.
    pub async fn connect(&self, user: &str) -> Result<Client, tokio_postgres::Error> {
        plain(&self.client(user)).await
    }

    pub async fn connect_unix(&self, user: &str) -> Result<Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config.host_path(&self.directory.0).port(self.port).user(user).password(PASSWORD).dbname("shop");
        plain(&config).await
    }

    /// In TLS, with the certificate checked.
    pub async fn connect_tls(&self, user: &str) -> Result<Client> {
        let mut config = Config::new();
        config
            .host("localhost")
            .hostaddr(std::net::Ipv4Addr::LOCALHOST.into())
            .port(self.port)
            .user(user)
            .password(PASSWORD)
            .dbname("shop")
            .ssl_mode(tokio_postgres::config::SslMode::Require);
        let (client, connection) = config.connect(tls()?).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.0.join(format!(".s.PGSQL.{}", self.port))
    }
}

pub async fn plain(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

pub fn tls() -> Result<MakeRustlsConnect> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(data("server.crt"))?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// SQLSTATE and message of what must be an error.
#[track_caller]
pub fn refused<T>(result: Result<T, tokio_postgres::Error>) -> (String, String) {
    match result {
        Ok(_) => panic!("not refused"),
        Err(error) => match error.as_db_error() {
            Some(error) => (error.code().code().to_owned(), error.message().to_owned()),
            None => panic!("no answer: {error:?}"),
        },
    }
}

pub fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
