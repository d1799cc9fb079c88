use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

use super::Refused;

/// A name as PostgreSQL reads it: lower case unless quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub schema: Option<String>,
    pub name: String,
}

impl Name {
    /// Whether it may be in one of these schemas: it names one of them, or none.
    pub fn is_in(&self, schemas: &[&str]) -> bool {
        self.schema.as_deref().is_none_or(|schema| schemas.contains(&schema))
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

pub fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

/// `name` or `schema.name`.
///
/// # Errors
/// Anything longer, or odder.
pub fn name_of(object: &ObjectName) -> Result<Name, Refused> {
    let ident = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(ident) => Ok(folded(ident)),
        ObjectNamePart::Function(_) => Err(Refused::unsupported(format!("the name {object}"))),
    };
    match object.0.as_slice() {
        [name] => Ok(Name { schema: None, name: ident(name)? }),
        [schema, name] => Ok(Name { schema: Some(ident(schema)?), name: ident(name)? }),
        _ => Err(Refused::unsupported(format!("names of more than two parts ({object})"))),
    }
}
