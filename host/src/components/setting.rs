use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

/// What the operator can set for a policy; declared by the policy itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SettingDeclaration {
    pub name: String,
    pub kind: SettingKind,
    /// In force where the operator sets nothing.
    pub default_value: Option<String>,
    pub description: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingKind {
    Boolean,
    Integer { min: i64, max: i64 },
    Number { min: f64, max: f64 },
    Text,
    Choice(Vec<String>),
}

impl fmt::Display for SettingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingKind::Boolean => f.write_str("true or false"),
            SettingKind::Integer { min, max } => write!(f, "a whole number from {min} to {max}"),
            SettingKind::Number { min, max } => write!(f, "a number from {min} to {max}"),
            SettingKind::Text => f.write_str("a text"),
            SettingKind::Choice(values) => write!(f, "one of {}", values.join(", ")),
        }
    }
}

/// Declarations and their texts are a guest's: more than this is nonsense.
const MAX_SETTINGS: usize = 100;
const MAX_TEXT_BYTES: usize = 4 << 10;

impl SettingKind {
    fn accepts(&self, value: &str) -> bool {
        match self {
            SettingKind::Boolean => matches!(value, "true" | "false"),
            SettingKind::Integer { min, max } => value.parse::<i64>().is_ok_and(|value| (*min..=*max).contains(&value)),
            SettingKind::Number { min, max } => value.parse::<f64>().is_ok_and(|value| (*min..=*max).contains(&value)),
            SettingKind::Text => value.len() <= MAX_TEXT_BYTES,
            SettingKind::Choice(values) => values.iter().any(|known| known == value),
        }
    }
}

/// What is wrong with a policy's declarations, if anything.
pub(super) fn complaint(declared: &[SettingDeclaration]) -> Option<String> {
    if declared.len() > MAX_SETTINGS {
        return Some(format!("it declares {} settings, more than {MAX_SETTINGS}", declared.len()));
    }
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let mut names = BTreeSet::new();
    for setting in declared {
        let name = &setting.name;
        if name.is_empty() || name.len() > 63 || !name.chars().all(plain) {
            return Some(format!("the name of its setting {name:?} is not made of 1 to 63 of a-z, 0-9 and _"));
        }
        if !names.insert(name) {
            return Some(format!("it declares the setting {name} twice"));
        }
        if setting.description.len() > MAX_TEXT_BYTES {
            return Some(format!("the description of its setting {name} is longer than {MAX_TEXT_BYTES} bytes"));
        }
        if let Some(value) = setting.default_value.as_ref().filter(|value| !setting.kind.accepts(value)) {
            return Some(format!("the default of its setting {name}, {value:?}, is not {}", setting.kind));
        }
    }
    None
}

/// The settings in force: the operator's, or else the declared defaults.
///
/// # Errors
/// The operator's values that the policy does not know or accept, with what it does.
pub(super) fn in_force(
    declared: &[SettingDeclaration],
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, String> {
    for (name, value) in given {
        let Some(setting) = declared.iter().find(|setting| setting.name == *name) else {
            let known: Vec<&str> = declared.iter().map(|setting| setting.name.as_str()).collect();
            let known =
                if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
            return Err(format!("it has no setting {name}; {known}"));
        };
        if !setting.kind.accepts(value) {
            return Err(format!("its setting {name} is {value:?} in the configuration, but must be {}", setting.kind));
        }
    }
    let value = |setting: &SettingDeclaration| given.get(&setting.name).cloned().or(setting.default_value.clone());
    Ok(declared.iter().filter_map(|setting| Some((setting.name.clone(), value(setting)?))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(name: &str, kind: SettingKind, default_value: Option<&str>) -> SettingDeclaration {
        SettingDeclaration {
            name: name.to_owned(),
            kind,
            default_value: default_value.map(str::to_owned),
            description: String::new(),
        }
    }

    #[test]
    fn values_are_checked_against_their_declaration() {
        let check = |kind: SettingKind, value: &str, expected: bool| {
            assert_eq!(kind.accepts(value), expected, "{kind}: {value:?}");
        };
        check(SettingKind::Boolean, "true", true);
        check(SettingKind::Boolean, "yes", false);
        check(SettingKind::Integer { min: 0, max: 10 }, "10", true);
        check(SettingKind::Integer { min: 0, max: 10 }, "11", false);
        check(SettingKind::Integer { min: 0, max: 10 }, "1.0", false);
        check(SettingKind::Number { min: 0.0, max: 1.0 }, "0.5", true);
        check(SettingKind::Number { min: 0.0, max: 1.0 }, "nan", false);
        check(SettingKind::Choice(vec!["a".into(), "b".into()]), "b", true);
        check(SettingKind::Choice(vec!["a".into(), "b".into()]), "", false);
        check(SettingKind::Text, "", true);
    }

    #[test]
    fn the_operators_values_come_first_and_nothing_unknown_passes() {
        let known = [
            declared("share", SettingKind::Number { min: 0.0, max: 1.0 }, Some("0.1")),
            declared("role", SettingKind::Text, None),
        ];
        let given = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let check = |pairs: &[(&str, &str)], expected: Result<&[(&str, &str)], &str>| match (
            in_force(&known, &given(pairs)),
            expected,
        ) {
            (Ok(found), Ok(expected)) => assert_eq!(found, given(expected)),
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        };
        check(&[], Ok(&[("share", "0.1")]));
        check(&[("share", "0.7"), ("role", "app")], Ok(&[("role", "app"), ("share", "0.7")]));
        check(&[("share", "7")], Err("a number from 0 to 1"));
        check(&[("shere", "0.7")], Err("it has share, role"));
    }

    #[test]
    fn nonsensical_declarations_are_refused() {
        let check = |settings: &[SettingDeclaration], expected: Option<&str>| {
            let found = complaint(settings);
            match (&found, expected) {
                (None, None) => {}
                (Some(found), Some(part)) if found.contains(part) => {}
                _ => panic!("{found:?}, expected {expected:?}"),
            }
        };
        check(&[declared("a", SettingKind::Boolean, Some("true"))], None);
        check(&[declared("A b", SettingKind::Boolean, None)], Some("a-z"));
        check(&[declared("a", SettingKind::Boolean, Some("1"))], Some("true or false"));
        check(&vec![declared("a", SettingKind::Text, None); 2], Some("twice"));
        check(&vec![declared("a", SettingKind::Text, None); 101], Some("101 settings"));
    }
}
