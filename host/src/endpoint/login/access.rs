use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::TlsAcceptor;

use super::Scram;
use super::tls::Tls;
use super::users::Users;
use crate::config::EndpointConfig;

/// All that decides who comes in and for how long, as the configuration says. A new configuration makes a new one;
/// sessions keep theirs.
pub struct Access {
    pub tls: Option<TlsAcceptor>,
    pub requires_tls: bool,
    /// For connections in clear.
    pub scram: Scram,
    /// For those in TLS: binds the exchange to the certificate.
    pub scram_in_tls: Scram,
    pub login_timeout: Duration,
    pub idle_timeout: Duration,
    pub max_message_bytes: usize,
    pub max_connections: usize,
}

impl Access {
    /// Reads passwords, certificate and key.
    ///
    /// # Errors
    /// One of them cannot be read, in words that name it.
    pub fn read(config: &EndpointConfig) -> anyhow::Result<Access> {
        let users = Arc::new(Users::read(config)?);
        let tls = Tls::read(config)?;
        Ok(Access {
            requires_tls: config.requires_tls(),
            scram: Scram::new(Arc::clone(&users), None),
            scram_in_tls: Scram::new(users, tls.as_ref().and_then(|tls| tls.binding.clone())),
            tls: tls.map(|tls| tls.acceptor),
            login_timeout: Duration::from_millis(config.login_timeout_ms),
            idle_timeout: Duration::from_millis(config.idle_timeout_ms),
            max_message_bytes: config.max_message_bytes,
            max_connections: config.max_connections,
        })
    }
}
