use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::postgres::Connector;

use super::Config;

/// The name that means all targets; none may bear it.
pub const ALL_TARGETS: &str = "pgheal";

/// One database under care: a `[[target]]`, or the only `[target]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TargetSettings {
    /// Unique; absent means the database's name.
    pub name: Option<String>,
    /// postgresql://user@host:port/database
    pub url: Option<String>,
    /// The environment variable that holds the password, for one that the URL should not hold.
    pub password_env: Option<String>,
    /// The file that holds the password, alone (a line's end after it is no part of it).
    pub password_file: Option<PathBuf>,
}

/// A database under care, ready to be connected to.
#[derive(Clone)]
pub struct Target {
    pub name: String,
    pub database: String,
    pub connector: Connector,
    /// To tell whether another configuration means the same.
    url: String,
    password: Option<String>,
}

impl Target {
    /// Whether a session of the other one would be a session of this one.
    pub fn is_same(&self, other: &Target) -> bool {
        (&self.name, &self.url, &self.password) == (&other.name, &other.url, &other.password)
    }
}

/// The password stays out of logs.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("name", &self.name).field("server", &self.connector.server()).finish()
    }
}

impl Config {
    /// The databases under care, in the file's order. Where the file has none, or one without a URL, `default_url`
    /// (PGHEAL_URL) names it.
    ///
    /// # Errors
    /// What is wrong, in words: no database, a URL that cannot be read, a password that is not there, a name twice.
    pub fn targets(&self, default_url: Option<&str>) -> Result<Vec<Target>, String> {
        let only = [TargetSettings::default()];
        let settings = if self.target.is_empty() { &only[..] } else { &self.target };
        let default_url = default_url.filter(|_| settings.len() == 1);
        let targets = settings
            .iter()
            .enumerate()
            .map(|(place, settings)| settings.resolve(place + 1, default_url))
            .collect::<Result<Vec<_>, _>>()?;
        let mut names = BTreeSet::new();
        for target in &targets {
            if target.name == ALL_TARGETS {
                return Err(format!(
                    "a target cannot be named {ALL_TARGETS}, which means all of them; give it another name"
                ));
            }
            if !names.insert(&target.name) {
                return Err(format!("two targets are named {}; give one of them another name", target.name));
            }
        }
        Ok(targets)
    }
}

impl TargetSettings {
    fn resolve(&self, place: usize, default_url: Option<&str>) -> Result<Target, String> {
        let here = match &self.name {
            Some(name) => format!("target {name}"),
            None => format!("target {place}"),
        };
        let url =
            self.url.as_deref().or(default_url).ok_or_else(|| {
                format!("{here} has no database: set its url, or PGHEAL_URL where it is the only one")
            })?;
        let mut connector = Connector::parse(url).map_err(|error| format!("{here}: {error}"))?;
        let password = self.password().map_err(|complaint| format!("{here}: {complaint}"))?;
        if let Some(password) = &password {
            connector = connector.with_password(password);
        }
        let database = connector.database().to_owned();
        let name = self.name.clone().unwrap_or_else(|| database.clone());
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(format!("{here}: its name must be a text without control characters"));
        }
        Ok(Target { name, database, connector, url: url.to_owned(), password })
    }

    fn password(&self) -> Result<Option<String>, String> {
        match (&self.password_env, &self.password_file) {
            (Some(_), Some(_)) => Err("it has password_env and password_file; leave one of them out".to_owned()),
            (Some(variable), None) => match std::env::var(variable) {
                Ok(password) => Ok(Some(password)),
                Err(_) => Err(format!("the environment variable {variable} (password_env) is not set")),
            },
            (None, Some(file)) => match std::fs::read_to_string(file) {
                Ok(text) => Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned())),
                Err(error) => Err(format!("{} (password_file) cannot be read: {error}", file.display())),
            },
            (None, None) => Ok(None),
        }
    }
}

/// Takes `[target]` for a list of one. By hand, so that a mistake in it is told as such.
pub(super) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<TargetSettings>, D::Error> {
    struct OneOrMany;

    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<TargetSettings>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table [target], or tables [[target]]")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            Ok(vec![TargetSettings::deserialize(MapAccessDeserializer::new(map))?])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(seq))
        }
    }

    deserializer.deserialize_any(OneOrMany)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, default_url: Option<&str>, expected: Result<&[(&str, &str)], &str>) {
        let config: Config = toml::from_str(text).expect("a configuration");
        match (config.targets(default_url), expected) {
            (Ok(targets), Ok(expected)) => {
                let found: Vec<(&str, &str)> =
                    targets.iter().map(|t| (t.name.as_str(), t.connector.server())).collect();
                assert_eq!(found, expected, "{text:?}");
            }
            (Err(complaint), Err(part)) => assert!(complaint.contains(part), "{complaint:?} does not say {part:?}"),
            (found, expected) => panic!("{text:?}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn one_table_many_tables_or_the_environment() {
        let url = Some("postgresql://me@h/given");
        check("", url, Ok(&[("given", "h:5432/given")]));
        check("[target]\nname = \"x\"", url, Ok(&[("x", "h:5432/given")]));
        check("[target]\nurl = \"postgresql://me@a/one\"", url, Ok(&[("one", "a:5432/one")]));
        check(
            "[[target]]\nurl = \"postgresql://me@a/one\"\n[[target]]\nname = \"shop\"\nurl = \"host=b dbname=one\"",
            None,
            Ok(&[("one", "a:5432/one"), ("shop", "b:5432/one")]),
        );
    }

    #[test]
    fn mistakes_are_named() {
        check("", None, Err("PGHEAL_URL"));
        check("[target]\nurl = \"nonsense\"", None, Err("target 1: the connection URL cannot be read"));
        check("[[target]]\nname = \"a\"\n[[target]]\nname = \"b\"", Some("host=h"), Err("target a has no database"));
        let twice = "[[target]]\nurl = \"postgresql://me@a/one\"\n[[target]]\nurl = \"postgresql://me@b/one\"";
        check(twice, None, Err("two targets are named one"));
        check("[target]\nname = \"pgheal\"\nurl = \"host=h\"", None, Err("cannot be named pgheal"));
        check("[target]\nurl = \"host=h\"\npassword_env = \"PGHEAL_NOT_SET\"", None, Err("PGHEAL_NOT_SET"));
        check("[target]\nurl = \"host=h\"\npassword_file = \"/nowhere/at/all\"", None, Err("/nowhere/at/all"));
    }

    #[test]
    fn a_mistake_in_a_table_is_told_as_such() {
        let unknown = toml::from_str::<Config>("[target]\nuri = \"host=h\"").expect_err("an unknown field");
        assert!(unknown.to_string().contains("unknown field `uri`"), "{unknown}");
        let unknown = toml::from_str::<Config>("[[target]]\nuri = \"host=h\"").expect_err("an unknown field");
        assert!(unknown.to_string().contains("unknown field `uri`"), "{unknown}");
        let neither = toml::from_str::<Config>("target = 1").expect_err("a number");
        assert!(neither.to_string().contains("[[target]]"), "{neither}");
    }
}
