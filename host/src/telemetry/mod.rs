//! How the daemon is watched: metrics, health and readiness over HTTP, and the log.

mod health;
mod http;
mod log;
mod metrics;
// Always tested: it adds nothing to what the product is built from.
#[cfg(any(feature = "otel", test))]
mod otel;
#[cfg(test)]
mod played;
mod routes;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;

use crate::config::MetricsSettings;
use crate::daemon::api::Engine;

pub use log::{Logging, start_logging};

/// The HTTP server at work; it ends with this value.
#[derive(Debug)]
pub struct Serving {
    server: http::Server,
}

impl Serving {
    /// Where it listens: the port is known here even where port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }
}

/// Serves metrics and health; None where the configuration does not ask for it.
///
/// # Errors
/// Where the address cannot be listened on.
pub async fn serve(settings: &MetricsSettings, engine: Arc<dyn Engine>) -> anyhow::Result<Option<Serving>> {
    let Some(address) = settings.listen else { return Ok(None) };
    let server = http::Server::start(address, Arc::new(move |request| routes::answer(engine.as_ref(), request)))
        .await
        .with_context(|| format!("[metrics] listen = \"{address}\""))?;
    tracing::info!("metrics at http://{}/metrics", server.address());
    if !address.ip().is_loopback() {
        tracing::warn!("whoever reaches {address} can read the metrics: they are served without a password");
    }
    Ok(Some(Serving { server }))
}
