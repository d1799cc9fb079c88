use crate::endpoint::sql::{Refused, Value};

/// Takes the arguments of a function one by one; their types were seen to before.
pub(super) struct Arguments(std::vec::IntoIter<Value>);

impl Arguments {
    pub(super) fn new(values: Vec<Value>) -> Arguments {
        Arguments(values.into_iter())
    }

    /// # Errors
    /// NULL.
    pub(super) fn text(&mut self, name: &str) -> Result<String, Refused> {
        match self.0.next() {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(missing(name)),
        }
    }

    /// # Errors
    /// NULL.
    pub(super) fn int(&mut self, name: &str) -> Result<i64, Refused> {
        match self.0.next() {
            Some(Value::Int(number)) => Ok(number),
            _ => Err(missing(name)),
        }
    }

    /// # Errors
    /// NULL.
    pub(super) fn bool(&mut self, name: &str) -> Result<bool, Refused> {
        match self.0.next() {
            Some(Value::Bool(value)) => Ok(value),
            _ => Err(missing(name)),
        }
    }
}

fn missing(name: &str) -> Refused {
    Refused::new("22004", format!("{name} must not be NULL"))
}
