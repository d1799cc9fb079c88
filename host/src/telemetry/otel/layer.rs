use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;
use std::time::SystemTime;

use tracing::span::{Attributes as NewSpan, Id, Record};
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::attributes::{Attributes, Value};
use super::document::{Event, Span};
use super::exporter::Message;

/// Events of one span; a repair that logs without end must not fill the memory.
const MAX_EVENTS: usize = 128;

/// Collects spans, and queues them when they end. Never waits.
pub struct ExportLayer {
    queue: SyncSender<Message>,
    /// Spans that found the queue full.
    dropped: Arc<AtomicU64>,
}

impl ExportLayer {
    pub fn new(queue: SyncSender<Message>, dropped: Arc<AtomicU64>) -> ExportLayer {
        ExportLayer { queue, dropped }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ExportLayer {
    fn on_new_span(&self, new: &NewSpan<'_>, id: &Id, context: Context<'_, S>) {
        let Some(found) = context.span(id) else { return };
        let parent = found.parent().and_then(|parent| {
            let extensions = parent.extensions();
            extensions.get::<Span>().map(|span| (span.trace_id, span.span_id))
        });
        let mut attributes = Attributes::default();
        new.record(&mut attributes);
        let now = SystemTime::now();
        found.extensions_mut().insert(Span {
            // Zero would be no id.
            trace_id: parent.map_or_else(|| rand::random::<u128>().max(1), |(trace_id, _)| trace_id),
            span_id: rand::random::<u64>().max(1),
            parent_id: parent.map(|(_, span_id)| span_id),
            name: found.name(),
            began: now,
            ended: now,
            attributes,
            events: Vec::new(),
            error: None,
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(found) = context.span(id) else { return };
        if let Some(span) = found.extensions_mut().get_mut::<Span>() {
            values.record(&mut span.attributes);
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let Some(found) = context.event_span(event) else { return };
        let mut extensions = found.extensions_mut();
        let Some(span) = extensions.get_mut::<Span>() else { return };
        let mut attributes = Attributes::default();
        event.record(&mut attributes);
        let message = attributes.take("message").unwrap_or_else(|| event.metadata().name().to_owned());
        if *event.metadata().level() == Level::ERROR {
            span.error = Some(message.clone());
        }
        if span.events.len() < MAX_EVENTS {
            attributes.0.push(("level".to_owned(), Value::Text(event.metadata().level().to_string())));
            span.events.push(Event { at: SystemTime::now(), message, attributes });
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(mut span) = context.span(&id).and_then(|found| found.extensions_mut().remove::<Span>()) else {
            return;
        };
        span.ended = SystemTime::now();
        if self.queue.try_send(Message::Span(Box::new(span))).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}
