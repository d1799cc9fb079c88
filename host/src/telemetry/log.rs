use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::LogFormat;

/// Filters the log; what `tracing_subscriber::EnvFilter` reads, for example `pgheal=debug,warn`.
const FILTER_VARIABLE: &str = "PGHEAL_LOG";

/// The log at work. What is still to be exported goes out with this value.
#[must_use = "spans that are not yet exported are lost with it"]
#[derive(Debug)]
pub struct Logging {
    #[cfg(feature = "otel")]
    _export: Option<super::otel::Export>,
}

/// Logs to stderr from here on, filtered by `PGHEAL_LOG`, or else by `default_filter`. Once a process.
pub fn start_logging(format: LogFormat, default_filter: &str) -> Logging {
    let filter = EnvFilter::try_from_env(FILTER_VARIABLE)
        .unwrap_or_else(|_| default_filter.parse::<EnvFilter>().unwrap_or_default());
    let registry = tracing_subscriber::registry().with(filter).with(layer(format));
    #[cfg(feature = "otel")]
    {
        let (layer, export, failure) = match super::otel::start(|name| std::env::var(name).ok()) {
            Ok((layer, export)) => (layer, export, None),
            Err(failure) => (None, None, Some(failure)),
        };
        registry.with(layer).init();
        if let Some(failure) = failure {
            tracing::error!("no spans are exported: {failure}");
        }
        Logging { _export: export }
    }
    #[cfg(not(feature = "otel"))]
    {
        registry.init();
        Logging {}
    }
}

/// Spans are the context of their messages in both formats; JSON tells of their end and their times, too.
fn layer<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => layer.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed(),
        // Not flattened: a message's own field might be named as one of the record's.
        LogFormat::Json => layer.json().with_span_events(FmtSpan::CLOSE).boxed(),
    }
}
