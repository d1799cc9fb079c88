use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::Deserialize;

/// Where the daemon can be watched over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSettings {
    /// Address and port of `/metrics`, `/healthz`, `/readyz` and `/healing.json`; absent: not served. There is neither
    /// a password nor encryption, so it should be a loopback address, or one that only the monitoring reaches.
    pub listen: Option<SocketAddr>,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line a message, for people.
    #[default]
    Text,
    /// A JSON object a line, for programs; the end of every span is one, too.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<LogFormat, String> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(format!("{text} is neither text nor json")),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Both {
        metrics: MetricsSettings,
        log: LogSettings,
    }

    fn check(text: &str, expected: Result<(Option<&str>, LogFormat), &str>) {
        match (toml::from_str::<Both>(text), expected) {
            (Ok(found), Ok((listen, format))) => {
                assert_eq!(found.metrics.listen.map(|address| address.to_string()).as_deref(), listen);
                assert_eq!(found.log.format, format);
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error} does not say {part:?}"),
            (found, expected) => panic!("{text:?}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn nothing_is_served_unless_it_is_asked_for() {
        check("", Ok((None, LogFormat::Text)));
        check("[metrics]\nlisten = \"127.0.0.1:9718\"", Ok((Some("127.0.0.1:9718"), LogFormat::Text)));
        check(
            "[metrics]\nlisten = \"[::1]:9718\"\n[log]\nformat = \"json\"",
            Ok((Some("[::1]:9718"), LogFormat::Json)),
        );
    }

    #[test]
    fn mistakes_are_named() {
        check("[metrics]\nlisten = \"9718\"", Err("socket address"));
        check("[metrics]\nport = 9718", Err("unknown field `port`"));
        check("[log]\nformat = \"xml\"", Err("unknown variant `xml`"));
        assert_eq!("xml".parse::<LogFormat>(), Err("xml is neither text nor json".to_owned()));
        assert_eq!("json".parse::<LogFormat>().map(|format| format.to_string()), Ok("json".to_owned()));
    }
}
