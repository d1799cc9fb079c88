use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::daemon::api::Role;

/// The port that names the unix socket where there is no `listen`.
pub const DEFAULT_PORT: u16 = 6433;
/// The largest message that may be allowed: all connections together must fit into memory.
const LARGEST_MESSAGE_BYTES: usize = 64 << 20;
/// Below this, a log-in, or one statement of an ordinary driver, would not fit.
const SMALLEST_MESSAGE_BYTES: usize = 16 << 10;

/// `[endpoint]`: where the daemon speaks the PostgreSQL protocol, and to whom. Nothing listens by default.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EndpointConfig {
    /// `address:port`, or `localhost:port`; absent: no TCP. Port 0 takes a free one.
    pub listen: Option<String>,
    /// Where the unix socket `.s.PGSQL.<port>` is made; absent: no socket.
    pub socket_directory: Option<PathBuf>,
    /// PEM, the server's own certificate first; relative to pgheal.toml.
    pub tls_certificate: Option<PathBuf>,
    /// PEM; nobody but its owner and group may read it.
    pub tls_key: Option<PathBuf>,
    /// Whether TCP without TLS is refused; default: where `listen` is no loopback address.
    pub require_tls: Option<bool>,
    /// Sessions at a time; a quarter of them, at the most 3, is kept for administrators and forwarding users.
    pub max_connections: usize,
    /// From the connection to the end of the log-in.
    pub login_timeout_ms: u64,
    /// A session that asks nothing for this long is ended.
    pub idle_timeout_ms: u64,
    /// A larger message ends the session before it is read.
    pub max_message_bytes: usize,
    /// Who may log in, by name.
    pub user: BTreeMap<String, EndpointUser>,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        EndpointConfig {
            listen: None,
            socket_directory: None,
            tls_certificate: None,
            tls_key: None,
            require_tls: None,
            max_connections: 100,
            login_timeout_ms: 10_000,
            idle_timeout_ms: 600_000,
            max_message_bytes: 1 << 20,
            user: BTreeMap::new(),
        }
    }
}

/// `[endpoint.user.NAME]`: logs in with SCRAM-SHA-256 and a password that is not in this file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointUser {
    /// The environment variable that holds the password.
    pub password_env: Option<String>,
    /// The file that holds the password, without the line's end; relative to pgheal.toml.
    pub password_file: Option<PathBuf>,
    /// What the user may do in his own name.
    #[serde(default = "reader")]
    pub role: Role,
    /// The functions in the database log in as this one: it may tell who their caller is and what that one may do.
    #[serde(default)]
    pub forwards: bool,
}

fn reader() -> Role {
    Role::Reader
}

impl EndpointConfig {
    /// Whether anything listens at all.
    pub fn is_on(&self) -> bool {
        self.listen.is_some() || self.socket_directory.is_some()
    }

    /// Where TCP listens.
    ///
    /// # Errors
    /// The text is no address with a port, in words.
    pub fn address(&self) -> Result<Option<SocketAddr>, String> {
        let Some(listen) = &self.listen else { return Ok(None) };
        let numeric = match listen.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => listen.clone(),
        };
        match numeric.parse() {
            Ok(address) => Ok(Some(address)),
            Err(_) => Err(format!(
                "endpoint.listen is {listen:?}; it must be an address and a port (127.0.0.1:6433, [::1]:6433, \
                 0.0.0.0:6433)"
            )),
        }
    }

    /// Whether a connection over TCP must be encrypted.
    pub fn requires_tls(&self) -> bool {
        let is_loopback = matches!(self.address(), Ok(Some(address)) if address.ip().is_loopback());
        self.require_tls.unwrap_or(!is_loopback)
    }

    /// Makes paths that are relative start at `directory`, where pgheal.toml is.
    pub(super) fn start_paths_at(&mut self, directory: &Path) {
        let own = [&mut self.tls_certificate, &mut self.tls_key, &mut self.socket_directory];
        let users = self.user.values_mut().map(|user| &mut user.password_file);
        for path in own.into_iter().chain(users).flatten() {
            *path = directory.join(&*path);
        }
    }

    /// What is wrong, in words; None when all is well.
    pub(super) fn complaint(&self) -> Option<String> {
        let address = match self.address() {
            Ok(address) => address,
            Err(complaint) => return Some(complaint),
        };
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return Some("endpoint.tls_certificate and endpoint.tls_key go together; one is missing".to_owned());
        }
        if address.is_some() && self.requires_tls() && self.tls_certificate.is_none() {
            return Some(
                "endpoint.listen is reachable from other machines (or endpoint.require_tls is set), which needs \
                 endpoint.tls_certificate and endpoint.tls_key"
                    .to_owned(),
            );
        }
        if self.is_on() && self.user.is_empty() {
            return Some("endpoint: nobody may log in; add [endpoint.user.NAME]".to_owned());
        }
        let ranges = [
            ("max_connections", self.max_connections as u64, 1, 10_000),
            ("login_timeout_ms", self.login_timeout_ms, 100, 600_000),
            ("idle_timeout_ms", self.idle_timeout_ms, 1_000, 86_400_000),
            (
                "max_message_bytes",
                self.max_message_bytes as u64,
                SMALLEST_MESSAGE_BYTES as u64,
                LARGEST_MESSAGE_BYTES as u64,
            ),
        ];
        for (name, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Some(format!("endpoint.{name} is {value}; it must lie in {least}..{most}"));
            }
        }
        self.user.iter().find_map(|(name, user)| user.complaint(name))
    }
}

impl EndpointUser {
    fn complaint(&self, name: &str) -> Option<String> {
        if name.is_empty() || name.len() > 63 || name.contains('\0') {
            return Some(format!("endpoint.user.{name:?}: a name has 1 to 63 bytes"));
        }
        if self.password_env.is_some() == self.password_file.is_some() {
            return Some(format!("endpoint.user.{name}: give either password_env or password_file"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "[user.ann]\npassword_env = \"ANN\"\n";

    fn check(text: &str, expected: Option<&str>) {
        let config: EndpointConfig = toml::from_str(text).unwrap();
        match (config.complaint(), expected) {
            (None, None) => {}
            (Some(complaint), Some(part)) => assert!(complaint.contains(part), "{complaint:?} lacks {part:?}"),
            (complaint, expected) => panic!("{text:?}: {complaint:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn mistakes_are_named() {
        check("", None);
        check(&format!("listen = \"127.0.0.1:6433\"\n{USER}"), None);
        check(&format!("listen = \"localhost:6433\"\n{USER}"), None);
        check(&format!("socket_directory = \"/run/pgheal\"\n{USER}"), None);
        check(&format!("listen = \"db.example\"\n{USER}"), Some("endpoint.listen"));
        check(&format!("listen = \"0.0.0.0:6433\"\n{USER}"), Some("endpoint.tls_certificate"));
        check(&format!("listen = \"[::]:6433\"\nrequire_tls = false\n{USER}"), None);
        check(&format!("listen = \"127.0.0.1:6433\"\nrequire_tls = true\n{USER}"), Some("tls_certificate"));
        check(&format!("tls_key = \"k\"\n{USER}"), Some("go together"));
        check("listen = \"127.0.0.1:6433\"", Some("nobody may log in"));
        check(&format!("max_connections = 0\n{USER}"), Some("max_connections is 0"));
        check(&format!("max_message_bytes = 1\n{USER}"), Some("max_message_bytes is 1"));
        check("[user.ann]\nrole = \"admin\"", Some("password_env or password_file"));
    }

    #[test]
    fn roles_are_known_and_paths_start_at_the_file() {
        assert!(toml::from_str::<EndpointConfig>("[user.ann]\npassword_env = \"A\"\nrole = \"root\"").is_err());
        let text = "tls_key = \"k.pem\"\n[user.ann]\npassword_file = \"/etc/p\"\nrole = \"operator\"\nforwards = true";
        let mut config: EndpointConfig = toml::from_str(text).unwrap();
        config.start_paths_at(Path::new("/etc/pgheal"));
        assert_eq!(config.tls_key.as_deref(), Some(Path::new("/etc/pgheal/k.pem")));
        let user = &config.user["ann"];
        assert_eq!(user.password_file.as_deref(), Some(Path::new("/etc/p")));
        assert_eq!((user.role, user.forwards), (Role::Operator, true));
    }
}
