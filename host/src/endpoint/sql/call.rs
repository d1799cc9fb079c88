use async_trait::async_trait;

use super::{Kind, Refused, Value, code};
use crate::endpoint::context::Context;

/// An argument of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    pub name: &'static str,
    pub kind: Kind,
    /// Where it may be left out.
    pub default: Option<Value>,
}

impl Argument {
    pub fn new(name: &'static str, kind: Kind) -> Argument {
        Argument { name, kind, default: None }
    }

    pub fn with_default(mut self, value: Value) -> Argument {
        self.default = Some(value);
        self
    }
}

/// A function that returns one value.
#[async_trait]
pub trait Function: Send + Sync {
    fn schema(&self) -> &'static str;
    fn name(&self) -> &'static str;
    fn arguments(&self) -> Vec<Argument>;
    /// The name of its column, and its type.
    fn result(&self) -> Kind;

    /// Called once a statement, whatever the number of rows.
    ///
    /// # Errors
    /// Whatever the function refuses.
    async fn call(&self, context: &Context, arguments: Vec<Value>) -> Result<Value, Refused>;
}

/// Puts what was given where the function expects it, by position or by name, and fills in defaults.
///
/// # Errors
/// Too many, too few, or unknown ones.
pub fn bind<T>(
    function: &str,
    expected: &[Argument],
    given: Vec<(Option<String>, T)>,
    default: impl Fn(&Value, Kind) -> T,
) -> Result<Vec<T>, Refused> {
    let usage = || {
        let arguments: Vec<String> =
            expected.iter().map(|argument| format!("{} {}", argument.name, argument.kind.name())).collect();
        Refused::new(code::UNKNOWN_FUNCTION, format!("function {function} does not take these arguments"))
            .with_hint(format!("{function}({})", arguments.join(", ")))
    };
    let mut places: Vec<Option<T>> = expected.iter().map(|_| None).collect();
    for (position, (name, value)) in given.into_iter().enumerate() {
        let place = match name {
            None => position,
            Some(name) => expected.iter().position(|argument| argument.name == name).ok_or_else(usage)?,
        };
        match places.get_mut(place) {
            Some(empty @ None) => *empty = Some(value),
            _ => return Err(usage()),
        }
    }
    places
        .into_iter()
        .zip(expected)
        .map(|(value, argument)| match (value, &argument.default) {
            (Some(value), _) => Ok(value),
            (None, Some(value)) => Ok(default(value, argument.kind)),
            (None, None) => Err(usage()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_find_their_place() {
        let expected =
            [Argument::new("table_name", Kind::Text), Argument::new("days", Kind::Int4).with_default(Value::Int(7))];
        let check = |given: &[(Option<&str>, &str)], found: Option<&[&str]>| {
            let given = given.iter().map(|(n, v)| (n.map(str::to_owned), (*v).to_owned())).collect();
            let bound = bind("history", &expected, given, |value, _| value.to_text().unwrap_or_default());
            let found: Option<Vec<String>> = found.map(|all| all.iter().map(|text| (*text).to_owned()).collect());
            assert_eq!(bound.ok(), found);
        };
        check(&[(None, "docs")], Some(&["docs", "7"]));
        check(&[(None, "docs"), (Some("days"), "3")], Some(&["docs", "3"]));
        check(&[(Some("days"), "3"), (Some("table_name"), "docs")], Some(&["docs", "3"]));
        check(&[], None);
        check(&[(None, "docs"), (Some("table_name"), "docs")], None);
        check(&[(None, "a"), (None, "1"), (None, "2")], None);
        check(&[(Some("what"), "a")], None);
    }
}
