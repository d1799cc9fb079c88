use async_trait::async_trait;

use super::{Argument, Kind, Refused, Value};
use crate::endpoint::context::Context;

/// A column of a table, or of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
}

pub fn column(name: &str, kind: Kind) -> Column {
    Column { name: name.to_owned(), kind }
}

/// As many values as there are columns.
pub type Row = Vec<Value>;

/// What a statement needs of a table: a hint that may save work, never more than that.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Columns that must be equal to a value.
    pub equal: Vec<(String, Value)>,
}

impl Wanted {
    pub fn text(&self, column: &str) -> Option<&str> {
        self.equal.iter().find_map(|(name, value)| match value {
            Value::Text(text) if name == column => Some(text.as_str()),
            _ => None,
        })
    }
}

/// Something that can stand after FROM: a view, or a function that returns a set.
#[async_trait]
pub trait Table: Send + Sync {
    fn schema(&self) -> &'static str;
    fn name(&self) -> &'static str;
    /// None for a view; for a function, what stands in its parentheses.
    fn arguments(&self) -> Option<Vec<Argument>> {
        None
    }
    fn columns(&self) -> Vec<Column>;

    /// The rows; those that `wanted` excludes may be left out.
    ///
    /// # Errors
    /// Whatever the source refuses.
    async fn rows(&self, context: &Context, arguments: Vec<Value>, wanted: &Wanted) -> Result<Vec<Row>, Refused>;
}
