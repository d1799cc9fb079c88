use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Where somebody listens, as PostgreSQL's client library names it: a host name, an address, or the directory of a
/// unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no HOST:PORT; it looks like 127.0.0.1:6433, [::1]:6433, db.example.org:6433 or /run/pgheal:6433")]
pub struct EndpointError(String);

impl Endpoint {
    /// Whether what is sent there stays on this machine.
    pub fn is_local(&self) -> bool {
        self.host.starts_with('/')
            || self.host == "localhost"
            || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let wrong = || EndpointError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or_else(wrong)?,
            // A bare address of IPv6, whose last part was taken for the port.
            None if host.contains(':') => return Err(wrong()),
            None => host,
        };
        let port = port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        // A comma would be a list of hosts.
        if host.is_empty() || host.contains(|c: char| c == ',' || c.is_whitespace() || c.is_control()) {
            return Err(wrong());
        }
        Ok(Endpoint { host: host.to_owned(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, u16, bool)>) {
        let found = text.parse::<Endpoint>();
        match (&found, expected) {
            (Ok(endpoint), Some((host, port, is_local))) => {
                assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.is_local()), (host, port, is_local));
                assert_eq!(endpoint.to_string(), text);
            }
            (Err(error), None) => assert!(error.to_string().starts_with(text)),
            _ => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn hosts_addresses_and_sockets() {
        check("127.0.0.1:6433", Some(("127.0.0.1", 6433, true)));
        check("localhost:1", Some(("localhost", 1, true)));
        check("[::1]:6433", Some(("::1", 6433, true)));
        check("/run/pgheal:6433", Some(("/run/pgheal", 6433, true)));
        check("db.example.org:6433", Some(("db.example.org", 6433, false)));
        check("10.0.0.7:65535", Some(("10.0.0.7", 65535, false)));
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in ["", "host", ":6433", "host:", "host:0", "host:65536", "::1:6433", "[::1:6433", "a,b:6433", "a b:1"]
        {
            check(text, None);
        }
    }
}
