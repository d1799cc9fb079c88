/// Of the dialect that is spoken; clients look at the number before the blank.
pub const SERVER_VERSION: &str = concat!("16.0 (pgheal ", env!("CARGO_PKG_VERSION"), ")");

/// What a client is told of the server after the log-in (ParameterStatus), besides what it set itself.
pub fn announced(user: &str) -> Vec<(&'static str, String)> {
    let fixed = [
        ("server_version", SERVER_VERSION),
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("integer_datetimes", "on"),
        ("standard_conforming_strings", "on"),
        ("in_hot_standby", "off"),
        ("default_transaction_read_only", "off"),
        ("is_superuser", "off"),
    ];
    let mut all: Vec<(&'static str, String)> = fixed.map(|(name, value)| (name, value.to_owned())).to_vec();
    all.push(("session_authorization", user.to_owned()));
    all
}
