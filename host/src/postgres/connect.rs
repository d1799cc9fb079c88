use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::task::JoinHandle;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{AsyncMessage, CancelToken, Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::lease::{Lease, Leased};

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that is gone without a word is noticed after about this long, instead of hours.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;

/// Why there is no connection; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("the connection URL cannot be read; it looks like postgresql://user:password@host:5432/database")]
    Url(#[source] tokio_postgres::Error),
    #[error("{server} refused the password or user; check the URL, or PGPASSWORD, and pg_hba.conf")]
    Authentication { server: String, source: tokio_postgres::Error },
    #[error("the database does not exist on {server}; check the end of the URL")]
    NoSuchDatabase { server: String, source: tokio_postgres::Error },
    #[error("{server} cannot be reached; check host, port and that PostgreSQL is running")]
    Unreachable { server: String, source: tokio_postgres::Error },
    #[error("{server} does not answer: no session within {seconds} s; is it stopped, or overloaded?")]
    Silent { server: String, seconds: u64 },
    /// The lease of the connector has ended.
    #[error("work on {server} was given up")]
    GivenUp { server: String },
}

/// How to reach one database. Every job opens its own session with it.
#[derive(Clone)]
pub struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
    server: String,
    leased: Option<Leased>,
}

/// A session with its connection driven in the background; it closes when dropped.
pub struct Session {
    client: Client,
    tls: MakeRustlsConnect,
    driver: JoinHandle<()>,
}

impl Connector {
    /// Reads a URL or a key=value string as libpq would. `sslmode=verify-full` checks the certificate against
    /// the system's roots; `require` and `prefer` encrypt without checking, as libpq does.
    pub fn parse(url: &str) -> Result<Self, ConnectError> {
        let (url, verify) = take_verify_mode(url);
        let mut config: Config = url.parse().map_err(ConnectError::Url)?;
        if config.get_password().is_none()
            && let Ok(password) = std::env::var("PGPASSWORD")
        {
            config.password(password);
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(DEFAULT_CONNECT_TIMEOUT);
        }
        set_keepalives(&mut config);
        let server = describe(&config);
        Ok(Connector { config, tls: MakeRustlsConnect::new(tls_config(verify)), server, leased: None })
    }

    /// The same, for as long as the lease lasts.
    pub fn under(&self, lease: &Lease) -> Connector {
        Connector { leased: Some(lease.leased()), ..self.clone() }
    }

    /// The name of the database.
    pub fn database(&self) -> &str {
        database_of(&self.config)
    }

    pub fn with_password(&self, password: &str) -> Connector {
        let mut other = self.clone();
        other.config.password(password);
        other
    }

    /// Host, port and database, without the password.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The same server as another user, with that user's password where it has one.
    pub fn with_user(&self, user: &str, password: Option<&str>) -> Connector {
        let mut other = self.clone();
        other.config.user(user);
        if let Some(password) = password {
            other.config.password(password);
        }
        other
    }

    /// The same server, another database.
    pub fn with_database(&self, database: &str) -> Connector {
        let mut other = self.clone();
        other.config.dbname(database);
        other.server = describe(&other.config);
        other
    }

    /// Opens a session whose `application_name` is `pgheal <purpose>`. The time limit (`connect_timeout` of the URL
    /// for each host, 10 s without one) holds for the whole of it: a server that is stopped still has its connections accepted by
    /// the kernel, and then says nothing.
    ///
    /// # Errors
    /// Each kind of `ConnectError` but `Url`.
    pub async fn connect(&self, purpose: &str) -> Result<Session, ConnectError> {
        self.connect_hearing(purpose, |_| {}).await
    }

    /// The same, and calls `hear` with every notice and warning of the server, before the answer that it came with.
    ///
    /// # Errors
    /// As `connect`.
    pub async fn connect_hearing(
        &self,
        purpose: &str,
        mut hear: impl FnMut(&DbError) + Send + 'static,
    ) -> Result<Session, ConnectError> {
        let mut leased = self.leased.clone();
        if leased.as_ref().is_some_and(Leased::has_ended) {
            return Err(ConnectError::GivenUp { server: self.server.clone() });
        }
        let mut config = self.config.clone();
        config.application_name(format!("pgheal {purpose}"));
        let hosts = u32::try_from(config.get_hosts().len()).unwrap_or(1).max(1);
        let limit = config.get_connect_timeout().copied().unwrap_or(DEFAULT_CONNECT_TIMEOUT) * hosts;
        let connecting = tokio::time::timeout(limit, config.connect(self.tls.clone()));
        let connected = tokio::select! {
            connected = connecting => connected,
            () = end_of(&mut leased) => return Err(ConnectError::GivenUp { server: self.server.clone() }),
        };
        let (client, mut connection) = connected
            .map_err(|_| ConnectError::Silent { server: self.server.clone(), seconds: limit.as_secs() })?
            .map_err(|source| self.classify(source))?;
        let driver = tokio::spawn(async move {
            let mut messages = futures_util::stream::poll_fn(|context| connection.poll_message(context));
            let hearing = async {
                // The client's next call reports the loss; here is nothing to add.
                while let Some(Ok(message)) = messages.next().await {
                    if let AsyncMessage::Notice(notice) = message {
                        hear(&notice);
                    }
                }
            };
            tokio::select! {
                () = hearing => {}
                () = end_of(&mut leased) => {}
            }
        });
        Ok(Session { client, tls: self.tls.clone(), driver })
    }

    fn classify(&self, source: tokio_postgres::Error) -> ConnectError {
        let server = self.server.clone();
        match source.code() {
            Some(code)
                if *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION =>
            {
                ConnectError::Authentication { server, source }
            }
            Some(code) if *code == SqlState::INVALID_CATALOG_NAME => ConnectError::NoSuchDatabase { server, source },
            _ => ConnectError::Unreachable { server, source },
        }
    }
}

/// Where the URL says nothing.
fn set_keepalives(config: &mut Config) {
    if config.get_keepalives_idle() == Config::new().get_keepalives_idle() {
        config.keepalives_idle(KEEPALIVE_IDLE);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(KEEPALIVE_INTERVAL);
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(KEEPALIVE_RETRIES);
    }
}

/// Never returns where there is no lease.
async fn end_of(leased: &mut Option<Leased>) {
    match leased {
        Some(leased) => leased.ended().await,
        None => std::future::pending().await,
    }
}

impl Session {
    /// Cancels the statement that runs in this session, from outside.
    pub async fn cancel(&self) -> Result<(), tokio_postgres::Error> {
        self.canceller().cancel().await
    }

    /// A handle that can cancel while somebody else waits for the statement.
    pub fn canceller(&self) -> Canceller {
        Canceller { token: self.client.cancel_token(), tls: self.tls.clone() }
    }

    pub fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

#[derive(Clone)]
pub struct Canceller {
    token: CancelToken,
    tls: MakeRustlsConnect,
}

impl Canceller {
    pub async fn cancel(&self) -> Result<(), tokio_postgres::Error> {
        self.token.cancel_query(self.tls.clone()).await
    }
}

fn describe(config: &Config) -> String {
    use tokio_postgres::config::Host;
    let host = config.get_hosts().first().map_or_else(
        || "localhost".to_owned(),
        |host| match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        },
    );
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = database_of(config);
    format!("{host}:{port}/{database}")
}

fn database_of(config: &Config) -> &str {
    config.get_dbname().or(config.get_user()).unwrap_or("postgres")
}

/// tokio-postgres knows disable, prefer and require; the verifying modes are ours.
fn take_verify_mode(url: &str) -> (String, bool) {
    for mode in ["verify-full", "verify-ca"] {
        let wanted = format!("sslmode={mode}");
        if url.contains(&wanted) {
            return (url.replace(&wanted, "sslmode=require"), true);
        }
    }
    (url.to_owned(), false)
}

fn tls_config(verify: bool) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions");
    if verify {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return builder.with_root_certificates(roots).with_no_client_auth();
    }
    builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))).with_no_client_auth()
}

/// What libpq's `sslmode=require` means: encrypted, the peer unchecked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
