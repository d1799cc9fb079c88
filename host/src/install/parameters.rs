use super::{Endpoint, FUNCTIONS_VERSION};

/// How the connection from the database to the daemon is encrypted: libpq's modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SslMode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl SslMode {
    fn as_str(self) -> &'static str {
        match self {
            SslMode::Disable => "disable",
            SslMode::Allow => "allow",
            SslMode::Prefer => "prefer",
            SslMode::Require => "require",
            SslMode::VerifyCa => "verify-ca",
            SslMode::VerifyFull => "verify-full",
        }
    }
}

/// What differs between installations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Where the daemon listens, as seen from the database server.
    pub endpoint: Endpoint,
    /// The endpoint's user (`[endpoint.user.NAME]`, `forwards = true`).
    pub user: String,
    /// None: `require` unless the endpoint is on the same machine.
    pub ssl_mode: Option<SslMode>,
    /// A file on the database server.
    pub ssl_root_certificate: Option<String>,
    /// The daemon's name for this database; None: the database's.
    pub target: Option<String>,
    /// How long a call waits for the daemon, 500 to 600,000.
    pub time_limit_ms: u32,
    /// Where people find the functions without naming schema `pgheal`.
    pub function_schema: String,
    /// The role as which the daemon logs in.
    pub daemon_role: Option<String>,
    /// How this server reaches itself; None: found out by trying.
    pub hop: Option<Endpoint>,
    /// Leaves out all that needs a superuser.
    pub managed: bool,
}

impl Parameters {
    /// The settings that the SQL reads, without the password.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        let default_mode = if self.endpoint.is_local() { "" } else { "require" };
        let hop_host = self.hop.as_ref().map(|hop| hop.host.clone());
        let hop_port = self.hop.as_ref().map(|hop| hop.port.to_string());
        vec![
            ("pgheal_install.version", FUNCTIONS_VERSION.to_string()),
            ("pgheal_install.managed", self.managed.to_string()),
            ("pgheal_install.endpoint", self.endpoint.to_string()),
            ("pgheal_install.endpoint_host", self.endpoint.host.clone()),
            ("pgheal_install.endpoint_port", self.endpoint.port.to_string()),
            ("pgheal_install.endpoint_user", self.user.clone()),
            ("pgheal_install.endpoint_sslmode", self.ssl_mode.map_or(default_mode, SslMode::as_str).to_owned()),
            ("pgheal_install.endpoint_sslrootcert", self.ssl_root_certificate.clone().unwrap_or_default()),
            ("pgheal_install.target", self.target.clone().unwrap_or_default()),
            ("pgheal_install.time_limit_ms", self.time_limit_ms.to_string()),
            ("pgheal_install.function_schema", self.function_schema.clone()),
            ("pgheal_install.daemon_role", self.daemon_role.clone().unwrap_or_default()),
            ("pgheal_install.hop_host", hop_host.unwrap_or_default()),
            ("pgheal_install.hop_port", hop_port.unwrap_or_default()),
        ]
    }
}

#[cfg(test)]
pub(super) fn example(endpoint: &str) -> Parameters {
    Parameters {
        endpoint: endpoint.parse().unwrap(),
        user: "pgheal_functions".to_owned(),
        ssl_mode: None,
        ssl_root_certificate: None,
        target: None,
        time_limit_ms: 10_000,
        function_schema: "public".to_owned(),
        daemon_role: None,
        hop: None,
        managed: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(endpoint: &str, ssl_mode: Option<SslMode>, expected: &str) {
        let settings = Parameters { ssl_mode, ..example(endpoint) }.settings();
        let found = settings.iter().find(|(name, _)| *name == "pgheal_install.endpoint_sslmode");
        assert_eq!(found.map(|(_, value)| value.as_str()), Some(expected));
    }

    #[test]
    fn another_machine_is_reached_encrypted() {
        check("127.0.0.1:6433", None, "");
        check("db.example.org:6433", None, "require");
        check("db.example.org:6433", Some(SslMode::VerifyFull), "verify-full");
        check("/run/pgheal:6433", Some(SslMode::Disable), "disable");
    }
}
