//! The daemon as a PostgreSQL server: who may come in (`login`), what comes over the wire (`wire`), a session's messages
//! (`session`), the statements (`commands`, one a file), the functions and views that they reach (`functions`, `views`),
//! and the small SQL beneath (`sql`). Of the daemon it knows `daemon::api::Engine`.

mod client_settings;
mod commands;
mod connection;
mod context;
mod functions;
mod listener;
mod login;
mod session;
mod settings;
mod sql;
mod throttle;
mod views;
mod wire;

#[cfg(test)]
mod played;

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{DEFAULT_PORT, EndpointConfig};
use crate::daemon::api::Engine;
use listener::Listener;
use login::{Access, Admission};
use session::Cancels;
use throttle::Throttle;

/// The running endpoint. Dropped, it ends all sessions at once.
pub struct Endpoint {
    shared: Arc<Shared>,
    config: EndpointConfig,
    listeners: JoinSet<()>,
    address: Option<SocketAddr>,
}

/// What all connections share.
struct Shared {
    engine: Arc<dyn Engine>,
    access: RwLock<Arc<Access>>,
    admission: Arc<Admission>,
    cancels: Arc<Cancels>,
    stop: watch::Sender<bool>,
    told: Told,
}

/// When each kind of trouble was logged last: one kind does not hide another.
#[derive(Default)]
struct Told {
    /// Connections that are turned away.
    floods: Throttle,
    /// Connections that cannot be accepted.
    failures: Throttle,
    /// Connections that are gone before their log-in.
    losses: Throttle,
    /// Those that do not log in.
    timeouts: Throttle,
    /// Log-ins that are refused.
    refusals: Throttle,
    /// Sessions that had to go.
    endings: Throttle,
}

impl Shared {
    fn access(&self) -> Arc<Access> {
        Arc::clone(&self.access.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Listens where the configuration says, nowhere where it says nothing, and serves `engine`.
///
/// # Errors
/// An address cannot be listened on; a password, certificate or key cannot be read. The error says which.
pub async fn serve(config: &EndpointConfig, engine: Arc<dyn Engine>) -> anyhow::Result<Endpoint> {
    let address = config.address().map_err(anyhow::Error::msg)?;
    let shared = Arc::new(Shared {
        engine,
        access: RwLock::new(Arc::new(Access::read(config)?)),
        admission: Arc::default(),
        cancels: Arc::default(),
        stop: watch::Sender::new(false),
        told: Told::default(),
    });
    let mut bound = Vec::new();
    if let Some(address) = address {
        bound.push(Listener::tcp(address).await?);
    }
    let address = bound.iter().find_map(Listener::address);
    if let Some(directory) = &config.socket_directory {
        let port = address.map_or(DEFAULT_PORT, |address| address.port());
        bound.push(Listener::unix(directory, port).await?);
        tracing::info!(directory = %directory.display(), port, "the endpoint listens on a socket");
    }
    if let Some(address) = address {
        tracing::info!(%address, tls = config.tls_certificate.is_some(), "the endpoint listens");
    }
    let mut listeners = JoinSet::new();
    for listener in bound {
        listeners.spawn(listener.run(Arc::clone(&shared)));
    }
    Ok(Endpoint { shared, config: config.clone(), listeners, address })
}

impl Endpoint {
    /// Where TCP is listened on: with the port that was taken where the configuration says 0.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Users, passwords, certificate and limits for sessions from now on. Where it listens stays as it is.
    ///
    /// # Errors
    /// A password, certificate or key cannot be read; then all stays as it is.
    pub fn reload(&mut self, config: &EndpointConfig) -> anyhow::Result<()> {
        let access = Arc::new(Access::read(config)?);
        let is_elsewhere = |config: &EndpointConfig| (config.listen.clone(), config.socket_directory.clone());
        if is_elsewhere(config) != is_elsewhere(&self.config) {
            tracing::warn!("where the endpoint listens changes when the daemon starts again");
        }
        *self.shared.access.write().unwrap_or_else(PoisonError::into_inner) = access;
        self.config = config.clone();
        Ok(())
    }

    /// Takes no more connections, lets statements that run end, tells every client, and after `deadline` ends what is
    /// left.
    pub async fn stop(mut self, deadline: Duration) {
        self.shared.stop.send_replace(true);
        let ended = async { while self.listeners.join_next().await.is_some() {} };
        if tokio::time::timeout(deadline, ended).await.is_err() {
            tracing::warn!("sessions of the endpoint did not end within {deadline:?}");
        }
    }
}
