use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::login::SERVER_VERSION;
use super::sql::{Refused, code};

/// No value that a driver sets is longer.
const LONGEST_VALUE_BYTES: usize = 256;

/// PostgreSQL's settings that drivers and tools set or ask for when they connect. They change nothing here but what
/// SHOW says; their values are those that hold: times in UTC, ISO dates, UTF-8.
#[derive(Debug, Default)]
pub struct ClientSettings {
    set: Mutex<BTreeMap<&'static str, String>>,
}

struct Known {
    name: &'static str,
    default: &'static str,
    /// The client is told when it changes.
    reported: bool,
    /// None: it cannot be set.
    accepts: Option<fn(&str) -> bool>,
}

const fn free(name: &'static str, default: &'static str) -> Known {
    Known { name, default, reported: false, accepts: Some(any) }
}

const fn told(name: &'static str, default: &'static str, accepts: fn(&str) -> bool) -> Known {
    Known { name, default, reported: true, accepts: Some(accepts) }
}

const fn fixed(name: &'static str, value: &'static str) -> Known {
    Known { name, default: value, reported: false, accepts: None }
}

static KNOWN: &[Known] = &[
    told("application_name", "", any),
    told("client_encoding", "UTF8", is_utf8),
    told("DateStyle", "ISO, MDY", is_iso),
    told("IntervalStyle", "postgres", any),
    told("TimeZone", "UTC", any),
    told("standard_conforming_strings", "on", is_on),
    free("bytea_output", "hex"),
    free("client_min_messages", "notice"),
    free("default_transaction_isolation", "read committed"),
    free("default_transaction_read_only", "off"),
    free("extra_float_digits", "1"),
    free("geqo", "on"),
    free("idle_in_transaction_session_timeout", "0"),
    free("idle_session_timeout", "0"),
    free("jit", "off"),
    free("lc_messages", "C"),
    free("lock_timeout", "0"),
    free("role", "none"),
    free("row_security", "on"),
    free("search_path", "pgheal, public"),
    free("statement_timeout", "0"),
    free("synchronize_seqscans", "on"),
    free("transaction_isolation", "read committed"),
    free("transaction_read_only", "off"),
    free("transaction_deferrable", "off"),
    fixed("in_hot_standby", "off"),
    fixed("integer_datetimes", "on"),
    fixed("is_superuser", "off"),
    fixed("lc_collate", "C"),
    fixed("lc_ctype", "C"),
    fixed("max_identifier_length", "63"),
    fixed("max_index_keys", "32"),
    fixed("server_encoding", "UTF8"),
    fixed("server_version", SERVER_VERSION),
    fixed("server_version_num", "160000"),
    fixed("ssl", "on"),
];

fn any(_: &str) -> bool {
    true
}

fn is_utf8(value: &str) -> bool {
    // What psql sends in the C locale is no demand for anything; asyncpg quotes the value.
    matches!(
        value.trim_matches('\'').to_ascii_lowercase().replace(['-', '_'], "").as_str(),
        "utf8" | "unicode" | "sqlascii" | "default"
    )
}

fn is_iso(value: &str) -> bool {
    value.to_ascii_lowercase().contains("iso")
}

fn is_on(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "on" | "true" | "1" | "yes")
}

impl ClientSettings {
    /// Sets it, or with None sets it back. Some where the client has to be told: name and value.
    ///
    /// # Errors
    /// There is no such setting, or it cannot have that value.
    pub fn set(&self, name: &str, value: Option<&str>) -> Result<Option<(&'static str, String)>, Refused> {
        let known = find(name)?;
        let Some(accepts) = known.accepts else {
            return Err(Refused::new("55P02", format!("parameter {:?} cannot be changed", known.name)));
        };
        match value {
            None => {
                self.lock().remove(known.name);
            }
            Some(value) if value.len() > LONGEST_VALUE_BYTES || value.contains('\0') || !accepts(value) => {
                let message = format!("invalid value for parameter {:?}", known.name);
                let hint = format!("pgheal works with {} = {:?} only.", known.name, known.default);
                return Err(Refused::new(code::INVALID_VALUE, message).with_hint(hint));
            }
            // It stays as it is: what is accepted means the same.
            Some(_) if known.name == "client_encoding" || known.name == "standard_conforming_strings" => {}
            Some(value) => {
                self.lock().insert(known.name, value.to_owned());
            }
        }
        Ok(known.reported.then(|| (known.name, self.value(known))))
    }

    /// # Errors
    /// There is no such setting.
    pub fn get(&self, name: &str) -> Result<String, Refused> {
        Ok(self.value(find(name)?))
    }

    /// Sets all back; what the client has to be told.
    pub fn reset(&self) -> Vec<(&'static str, String)> {
        self.lock().clear();
        self.reported()
    }

    /// Those that a client is told after the log-in, and whenever they change.
    pub fn reported(&self) -> Vec<(&'static str, String)> {
        KNOWN.iter().filter(|known| known.reported).map(|known| (known.name, self.value(known))).collect()
    }

    /// Names and values of all.
    pub fn all(&self) -> Vec<(&'static str, String)> {
        KNOWN.iter().map(|known| (known.name, self.value(known))).collect()
    }

    fn value(&self, known: &Known) -> String {
        self.lock().get(known.name).cloned().unwrap_or_else(|| known.default.to_owned())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find(name: &str) -> Result<&'static Known, Refused> {
    KNOWN
        .iter()
        .find(|known| known.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| Refused::new(code::UNKNOWN_OBJECT, format!("unrecognized configuration parameter {name:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_kept_where_they_mean_no_harm() {
        let settings = ClientSettings::default();
        let check = |name: &str, value: &str, expected: Result<&str, &str>| {
            let found = settings.set(name, Some(value)).and_then(|_| settings.get(name)).map_err(|e| e.code);
            assert_eq!(found.as_deref(), expected.as_ref().copied(), "{name} = {value}");
        };
        check("application_name", "psql", Ok("psql"));
        check("extra_float_digits", "3", Ok("3"));
        check("client_encoding", "'utf-8'", Ok("UTF8"));
        check("client_encoding", "LATIN1", Err("22023"));
        check("datestyle", "ISO", Ok("ISO"));
        check("datestyle", "German", Err("22023"));
        check("server_version", "9", Err("55P02"));
        check("shared_buffers", "1", Err("42704"));
        check("application_name", &"x".repeat(1_000), Err("22023"));
        settings.reset();
        assert_eq!(settings.get("extra_float_digits").as_deref(), Ok("1"));
    }
}
