//! Spans for OpenTelemetry: OTLP over HTTP, in JSON, to a collector (feature `otel`). Nothing is exported unless
//! `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` says where to.

mod attributes;
mod document;
mod exporter;
mod layer;
mod settings;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;

pub use exporter::Export;
pub use layer::ExportLayer;

use settings::Settings;

/// Spans that wait to be sent; further ones are dropped, and their number is told.
const QUEUE_SPANS: usize = 4_096;

/// Begins to export, as the environment says: `variable` gives the value of one. Both None where nothing is to be exported.
///
/// # Errors
/// What is wrong with the environment, in words.
pub fn start(variable: impl Fn(&str) -> Option<String>) -> Result<(Option<ExportLayer>, Option<Export>), String> {
    let Some(settings) = Settings::read(variable)? else { return Ok((None, None)) };
    let (sender, queue) = mpsc::sync_channel(QUEUE_SPANS);
    let dropped = Arc::new(AtomicU64::new(0));
    let layer = ExportLayer::new(sender.clone(), Arc::clone(&dropped));
    let export = Export::start(settings, sender, queue, dropped).map_err(|error| error.to_string())?;
    Ok((Some(layer), Some(export)))
}

#[cfg(test)]
mod tests;
