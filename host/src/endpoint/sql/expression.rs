use std::cmp::Ordering;
use std::pin::Pin;

use super::{Function, Kind, Refused, Value};
use crate::endpoint::context::Context;

/// An expression whose names and types are resolved.
#[derive(Clone)]
pub enum Expression {
    Value(Value),
    /// By position, from 0.
    Parameter(usize),
    /// Of the row.
    Column(usize),
    Cast(Box<Expression>, Kind),
    Compare(Box<Expression>, Comparison, Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    IsNull(Box<Expression>),
    /// `->` and, as text, `->>`.
    Member {
        of: Box<Expression>,
        key: Box<Expression>,
        as_text: bool,
    },
    Concat(Box<Expression>, Box<Expression>),
    JsonbPretty(Box<Expression>),
    /// `oid::regtype`: the type's name.
    TypeName(Box<Expression>),
    /// Asked once a statement, before there are rows.
    Call(&'static dyn Function, Vec<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

type Settling<'a> = Pin<Box<dyn Future<Output = Result<Expression, Refused>> + Send + 'a>>;

impl Expression {
    /// Puts the parameters in and asks the functions: what is left needs a row and nothing else.
    pub fn settle<'a>(self, context: &'a Context, parameters: &'a [Value]) -> Settling<'a> {
        Box::pin(async move {
            let settle = |inner: Box<Expression>| settled(inner, context, parameters);
            Ok(match self {
                Expression::Parameter(index) => {
                    Expression::Value(parameters.get(index).cloned().ok_or_else(|| {
                        Refused::new("08P01", format!("there is no value for parameter ${}", index + 1))
                    })?)
                }
                Expression::Call(function, arguments) => {
                    let mut values = Vec::with_capacity(arguments.len());
                    for argument in arguments {
                        let argument = argument.settle(context, parameters).await?;
                        if argument.has_columns() {
                            return Err(Refused::unsupported(format!("columns as arguments of {}", function.name())));
                        }
                        values.push(argument.evaluate(&[])?);
                    }
                    Expression::Value(function.call(context, values).await?)
                }
                Expression::Cast(inner, kind) => Expression::Cast(settle(inner).await?, kind),
                Expression::Compare(a, by, b) => Expression::Compare(settle(a).await?, by, settle(b).await?),
                Expression::And(a, b) => Expression::And(settle(a).await?, settle(b).await?),
                Expression::Or(a, b) => Expression::Or(settle(a).await?, settle(b).await?),
                Expression::Not(inner) => Expression::Not(settle(inner).await?),
                Expression::IsNull(inner) => Expression::IsNull(settle(inner).await?),
                Expression::Member { of, key, as_text } => {
                    Expression::Member { of: settle(of).await?, key: settle(key).await?, as_text }
                }
                Expression::Concat(a, b) => Expression::Concat(settle(a).await?, settle(b).await?),
                Expression::JsonbPretty(inner) => Expression::JsonbPretty(settle(inner).await?),
                Expression::TypeName(inner) => Expression::TypeName(settle(inner).await?),
                settled @ (Expression::Value(_) | Expression::Column(_)) => settled,
            })
        })
    }

    /// The value for a row.
    ///
    /// # Errors
    /// A cast that fails. Parameters and functions must be settled.
    pub fn evaluate(&self, row: &[Value]) -> Result<Value, Refused> {
        Ok(match self {
            Expression::Value(value) => value.clone(),
            Expression::Column(index) => row.get(*index).cloned().unwrap_or(Value::Null),
            Expression::Parameter(_) | Expression::Call(..) => {
                return Err(Refused::new("XX000", "the expression was not settled"));
            }
            Expression::Cast(inner, kind) => inner.evaluate(row)?.cast(*kind)?,
            Expression::Compare(a, by, b) => {
                a.evaluate(row)?.compare(&b.evaluate(row)?).map_or(Value::Null, |found| Value::Bool(by.holds(found)))
            }
            Expression::And(a, b) => match (truth(a, row)?, truth(b, row)?) {
                (Some(false), _) | (_, Some(false)) => Value::Bool(false),
                (Some(true), Some(true)) => Value::Bool(true),
                _ => Value::Null,
            },
            Expression::Or(a, b) => match (truth(a, row)?, truth(b, row)?) {
                (Some(true), _) | (_, Some(true)) => Value::Bool(true),
                (Some(false), Some(false)) => Value::Bool(false),
                _ => Value::Null,
            },
            Expression::Not(inner) => truth(inner, row)?.map_or(Value::Null, |value| Value::Bool(!value)),
            Expression::IsNull(inner) => Value::Bool(inner.evaluate(row)? == Value::Null),
            Expression::Member { of, key, as_text } => {
                let found = match (of.evaluate(row)?, key.evaluate(row)?) {
                    (Value::Json(json), Value::Text(key)) => json.get(&key).cloned(),
                    (Value::Json(json), Value::Int(place)) => element(&json, place).cloned(),
                    _ => None,
                };
                match found {
                    None => Value::Null,
                    Some(serde_json::Value::Null) if *as_text => Value::Null,
                    Some(serde_json::Value::String(text)) if *as_text => Value::Text(text),
                    Some(json) if *as_text => Value::Json(json).cast(Kind::Text)?,
                    Some(json) => Value::Json(json),
                }
            }
            Expression::Concat(a, b) => {
                match (a.evaluate(row)?.cast(Kind::Text)?, b.evaluate(row)?.cast(Kind::Text)?) {
                    (Value::Text(a), Value::Text(b)) => Value::Text(a + &b),
                    _ => Value::Null,
                }
            }
            // As in PostgreSQL, what is no type is its number.
            Expression::TypeName(inner) => match inner.evaluate(row)? {
                Value::Int(oid) => {
                    let kind = Kind::ALL.into_iter().find(|kind| i64::from(kind.oid()) == oid);
                    Value::Text(kind.map_or_else(|| oid.to_string(), |kind| kind.name().to_owned()))
                }
                _ => Value::Null,
            },
            Expression::JsonbPretty(inner) => match inner.evaluate(row)? {
                Value::Json(json) => Value::Text(format!("{json:#}")),
                _ => Value::Null,
            },
        })
    }

    pub fn has_columns(&self) -> bool {
        match self {
            Expression::Column(_) => true,
            Expression::Value(_) | Expression::Parameter(_) => false,
            Expression::Cast(inner, _)
            | Expression::Not(inner)
            | Expression::IsNull(inner)
            | Expression::JsonbPretty(inner)
            | Expression::TypeName(inner) => inner.has_columns(),
            Expression::Compare(a, _, b)
            | Expression::And(a, b)
            | Expression::Or(a, b)
            | Expression::Concat(a, b)
            | Expression::Member { of: a, key: b, .. } => a.has_columns() || b.has_columns(),
            Expression::Call(_, arguments) => arguments.iter().any(Expression::has_columns),
        }
    }

    /// Columns that must be equal to a value for this to be true: it is one such comparison, or several with AND.
    pub fn equalities(&self, found: &mut Vec<(usize, Value)>) {
        match self {
            Expression::And(a, b) => {
                a.equalities(found);
                b.equalities(found);
            }
            Expression::Compare(a, Comparison::Equal, b) => match (a.as_ref(), b.as_ref()) {
                (Expression::Column(column), other) | (other, Expression::Column(column)) if !other.has_columns() => {
                    found.extend(other.evaluate(&[]).ok().map(|value| (*column, value)));
                }
                _ => {}
            },
            _ => {}
        }
    }
}

impl Comparison {
    fn holds(self, found: Ordering) -> bool {
        match self {
            Comparison::Equal => found.is_eq(),
            Comparison::NotEqual => found.is_ne(),
            Comparison::Less => found.is_lt(),
            Comparison::LessOrEqual => found.is_le(),
            Comparison::Greater => found.is_gt(),
            Comparison::GreaterOrEqual => found.is_ge(),
        }
    }
}

async fn settled(inner: Box<Expression>, context: &Context, parameters: &[Value]) -> Result<Box<Expression>, Refused> {
    inner.settle(context, parameters).await.map(Box::new)
}

fn truth(expression: &Expression, row: &[Value]) -> Result<Option<bool>, Refused> {
    Ok(match expression.evaluate(row)? {
        Value::Bool(value) => Some(value),
        _ => None,
    })
}

/// Negative places count from the end.
fn element(json: &serde_json::Value, place: i64) -> Option<&serde_json::Value> {
    let array = json.as_array()?;
    let place = if place < 0 { place.checked_add(array.len() as i64)? } else { place };
    array.get(usize::try_from(place).ok()?)
}
