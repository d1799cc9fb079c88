use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::attributes::Attributes;

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct Span {
    pub trace_id: u128,
    pub span_id: u64,
    pub parent_id: Option<u64>,
    pub name: &'static str,
    pub began: SystemTime,
    pub ended: SystemTime,
    pub attributes: Attributes,
    pub events: Vec<Event>,
    /// The last error that was logged within.
    pub error: Option<String>,
}

/// What was logged within a span.
#[derive(Clone, Debug)]
pub struct Event {
    pub at: SystemTime,
    pub message: String,
    pub attributes: Attributes,
}

/// `SPAN_KIND_INTERNAL` and `STATUS_CODE_ERROR` of OTLP.
const INTERNAL: u8 = 1;
const ERROR: u8 = 2;

/// The body of a request to `/v1/traces`.
pub fn document(resource: &Attributes, spans: &[Span]) -> Value {
    json!({"resourceSpans": [{
        "resource": {"attributes": resource.to_json()},
        "scopeSpans": [{
            "scope": {"name": "pgheal", "version": env!("CARGO_PKG_VERSION")},
            "spans": spans.iter().map(span_json).collect::<Value>(),
        }],
    }]})
}

fn span_json(span: &Span) -> Value {
    let mut document = json!({
        "traceId": format!("{:032x}", span.trace_id),
        "spanId": format!("{:016x}", span.span_id),
        "name": span.name,
        "kind": INTERNAL,
        "startTimeUnixNano": nanoseconds(span.began),
        "endTimeUnixNano": nanoseconds(span.ended),
        "attributes": span.attributes.to_json(),
    });
    if let Some(parent) = span.parent_id {
        document["parentSpanId"] = json!(format!("{parent:016x}"));
    }
    if !span.events.is_empty() {
        let events = span.events.iter().map(|event| {
            json!({"timeUnixNano": nanoseconds(event.at), "name": event.message, "attributes": event.attributes.to_json()})
        });
        document["events"] = events.collect();
    }
    if let Some(error) = &span.error {
        document["status"] = json!({"code": ERROR, "message": error});
    }
    document
}

fn nanoseconds(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos()).to_string()
}
