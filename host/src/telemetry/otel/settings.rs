use super::attributes::{Attributes, Value};

const DEFAULT_PORT: u16 = 80;

/// Where spans go, and what they say of this process.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub host: String,
    pub port: u16,
    pub path: String,
    /// Further headers of each request, for example for a collector that asks for a token.
    pub headers: Vec<(String, String)>,
    pub resource: Attributes,
}

impl Settings {
    /// By the variables of the OpenTelemetry specification; None where no endpoint is named.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Settings>, String> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let (name, url) = match set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
            Some(url) => ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url),
            None => match set("OTEL_EXPORTER_OTLP_ENDPOINT") {
                Some(base) => ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("{}/v1/traces", base.trim_end_matches('/'))),
                None => return Ok(None),
            },
        };
        let (host, port, path) = parse(&url).map_err(|complaint| format!("{name}: {complaint}"))?;
        let headers = pairs(&set("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default());
        if headers.iter().any(|(name, value)| !is_header(name, value)) {
            return Err("OTEL_EXPORTER_OTLP_HEADERS: a header has characters that none may have".to_owned());
        }
        let mut resource = vec![
            ("service.name".to_owned(), Value::Text(set("OTEL_SERVICE_NAME").unwrap_or_else(|| "pgheal".to_owned()))),
            ("service.version".to_owned(), Value::Text(env!("CARGO_PKG_VERSION").to_owned())),
        ];
        let further = pairs(&set("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default());
        resource.extend(further.into_iter().map(|(name, value)| (name, Value::Text(value))));
        Ok(Some(Settings { host, port, path, headers, resource: Attributes(resource) }))
    }
}

/// `NAME=VALUE,NAME=VALUE`
fn pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

fn is_header(name: &str, value: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !name.is_empty() && name.chars().all(is_name) && value.chars().all(|c| !c.is_control())
}

fn parse(url: &str) -> Result<(String, u16, String), String> {
    if url.starts_with("https://") {
        return Err(
            "spans are sent without TLS: name a collector on this machine or network, which forwards them".to_owned()
        );
    }
    let rest = url.strip_prefix("http://").ok_or_else(|| format!("{url} does not begin with http://"))?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let bad_port = |port: &str| format!("{port} is no port");
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, DEFAULT_PORT),
        Some((host, port)) => {
            let port = port.strip_prefix(':').unwrap_or(port);
            (host, port.parse().map_err(|_| bad_port(port))?)
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| bad_port(port))?),
            None => (authority, DEFAULT_PORT),
        },
    };
    if host.is_empty() || !url.chars().all(|c| c.is_ascii_graphic()) {
        return Err(format!("{url} names no host"));
    }
    Ok((host.to_owned(), port, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)], expected: Result<Option<(&str, u16, &str)>, &str>) {
        let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        match (Settings::read(variable), expected) {
            (Ok(found), Ok(expected)) => {
                assert_eq!(found.as_ref().map(|s| (s.host.as_str(), s.port, s.path.as_str())), expected);
            }
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found:?} lacks {expected:?}"),
            (found, expected) => panic!("{variables:?}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn the_endpoint_is_read_as_the_specification_says() {
        const BASE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        check(&[], Ok(None));
        check(&[(BASE, " ")], Ok(None));
        check(&[(BASE, "http://localhost:4318")], Ok(Some(("localhost", 4318, "/v1/traces"))));
        check(&[(BASE, "http://localhost:4318/x/")], Ok(Some(("localhost", 4318, "/x/v1/traces"))));
        check(&[(BASE, "http://a"), (TRACES, "http://b:1/here")], Ok(Some(("b", 1, "/here"))));
        check(&[(TRACES, "http://b")], Ok(Some(("b", 80, "/"))));
        check(&[(BASE, "http://[::1]:4318")], Ok(Some(("::1", 4318, "/v1/traces"))));
        check(&[(BASE, "https://localhost:4318")], Err("without TLS"));
        check(&[(BASE, "localhost:4318")], Err("http://"));
        check(&[(BASE, "http://localhost:none")], Err("none is no port"));
        check(&[(BASE, "http://:1")], Err("no host"));
        check(&[(BASE, "http://a"), ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c")], Err("HEADERS"));
    }

    #[test]
    fn the_resource_is_this_service() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test, region=x"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer x"),
        ];
        let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let settings = Settings::read(variable).unwrap().unwrap();
        let names: Vec<&str> = settings.resource.0.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["service.name", "service.version", "deployment.environment", "region"]);
        assert_eq!(settings.headers, [("authorization".to_owned(), "Bearer x".to_owned())]);
    }
}
