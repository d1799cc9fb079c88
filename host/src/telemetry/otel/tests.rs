use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::Value;
use tracing::field::Empty;
use tracing_subscriber::layer::SubscriberExt;

use super::start;

/// A collector that takes one request; gives its head and its document.
fn collect(listener: TcpListener, answer: &'static str) -> thread::JoinHandle<(String, Value)> {
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4_096];
        loop {
            let count = stream.read(&mut buffer).unwrap();
            request.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&request).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                stream.write_all(answer.as_bytes()).unwrap();
                return (head.to_owned(), serde_json::from_str(body).unwrap());
            }
        }
    })
}

fn attribute<'a>(of: &'a Value, name: &str) -> &'a Value {
    let attributes = of["attributes"].as_array().unwrap();
    &attributes.iter().find(|attribute| attribute["key"] == name).unwrap_or_else(|| panic!("{name}: {of:#}"))["value"]
}

#[test]
fn nothing_is_exported_unless_it_is_asked_for() {
    let (layer, export) = start(|_| None).unwrap();
    assert!(layer.is_none() && export.is_none());
    assert!(start(|_| Some("https://elsewhere".to_owned())).is_err());
}

#[test]
fn spans_arrive_at_the_collector() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collector = collect(listener, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let variable = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        "OTEL_EXPORTER_OTLP_HEADERS" => Some("x-token=t".to_owned()),
        _ => None,
    };
    let (layer, export) = start(variable).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let cycle = tracing::info_span!("cycle", server = "db", indexes = 3_u64);
        cycle.in_scope(|| {
            let call = tracing::info_span!("guest_call", outcome = Empty);
            call.in_scope(|| tracing::error!(policy = "p", "it failed"));
            call.record("outcome", "trap");
        });
    });
    drop(export);

    let (head, document) = collector.join().unwrap();
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n") && head.contains("\r\nx-token: t"), "{head}");
    let resource = &document["resourceSpans"][0];
    assert_eq!(attribute(&resource["resource"], "service.name")["stringValue"], "pgheal");
    let spans = resource["scopeSpans"][0]["spans"].as_array().unwrap();
    let named = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    let (cycle, call) = (named("cycle"), named("guest_call"));
    assert_eq!(spans.len(), 2);
    assert_eq!(call["parentSpanId"], cycle["spanId"]);
    assert_eq!(call["traceId"], cycle["traceId"]);
    assert_eq!(cycle["traceId"].as_str().unwrap().len(), 32);
    assert!(cycle.get("parentSpanId").is_none());
    assert_eq!(attribute(cycle, "server")["stringValue"], "db");
    assert_eq!(attribute(cycle, "indexes")["intValue"], "3");
    assert_eq!(attribute(call, "outcome")["stringValue"], "trap");
    assert_eq!(call["status"]["message"], "it failed");
    assert_eq!(call["events"][0]["name"], "it failed");
    assert_eq!(attribute(&call["events"][0], "policy")["stringValue"], "p");
    let nanoseconds = |span: &Value, name: &str| span[name].as_str().unwrap().parse::<u128>().unwrap();
    assert!(nanoseconds(cycle, "startTimeUnixNano") <= nanoseconds(call, "startTimeUnixNano"));
    assert!(nanoseconds(call, "endTimeUnixNano") <= nanoseconds(cycle, "endTimeUnixNano"));
}

/// Whatever the collector does, the program ends.
#[test]
fn a_collector_that_is_away_or_refuses_keeps_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for refuses in [true, false] {
        // Else somebody listens, and never answers.
        let collector = refuses.then(|| collect(listener.try_clone().unwrap(), "HTTP/1.1 503 No\r\n\r\n"));
        let variable = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| format!("http://{address}"));
        let (layer, export) = start(variable).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info_span!("cycle").in_scope(|| {});
        });
        drop(export);
        if let Some(collector) = collector {
            collector.join().unwrap();
        }
    }
}
