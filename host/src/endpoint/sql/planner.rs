use sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function as Call, FunctionArg, FunctionArgExpr, FunctionArguments, InTarget,
    UnaryOperator, Value as Literal,
};

use super::ast::{Name, folded, name_of};
use super::expression::Comparison;
use super::{Argument, Column, Expression, Function, Kind, ParameterKinds, Refused, Value, bind, code};

/// How deep expressions may be nested, chains of AND included.
const DEEPEST: usize = 100;

/// Resolves names and types of expressions.
pub struct Planner<'a> {
    /// What the row holds.
    pub columns: &'a [Column],
    /// Names by which columns may be qualified.
    pub qualifiers: Vec<String>,
    pub functions: fn(&Name) -> Option<&'static dyn Function>,
    pub parameters: &'a mut ParameterKinds,
}

type Planned = Result<(Expression, Kind), Refused>;

impl Planner<'_> {
    /// `expected` gives literals and parameters a type, where they have none.
    ///
    /// # Errors
    /// Unknown names, types that do not fit, and all that is not supported.
    pub fn plan(&mut self, expr: &Expr, expected: Option<Kind>) -> Planned {
        self.at(expr, expected, 0)
    }

    /// The same, cast to `kind`.
    pub fn plan_as(&mut self, expr: &Expr, kind: Kind) -> Result<Expression, Refused> {
        let planned = self.plan(expr, Some(kind))?;
        implicit(planned, kind)
    }

    fn at(&mut self, expr: &Expr, expected: Option<Kind>, depth: usize) -> Planned {
        if depth > DEEPEST {
            return Err(Refused::new(code::TOO_COMPLEX, "the expression is nested too deeply"));
        }
        let depth = depth + 1;
        match expr {
            Expr::Nested(inner) => self.at(inner, expected, depth),
            Expr::Value(value) => self.literal(&value.value, expected),
            Expr::Identifier(ident) => self.column(&folded(ident)),
            Expr::CompoundIdentifier(parts) => {
                let parts: Vec<String> = parts.iter().map(folded).collect();
                match parts.as_slice() {
                    [.., qualifier, name] if self.qualifiers.contains(qualifier) => self.column(name),
                    _ => Err(Refused::new(
                        code::UNKNOWN_TABLE,
                        format!("missing FROM-clause entry for {}", parts.join(".")),
                    )),
                }
            }
            Expr::Cast { expr, data_type, .. } if is_regtype(data_type) => {
                let planned = self.at(expr, Some(Kind::Int8), depth)?;
                Ok((Expression::TypeName(Box::new(implicit(planned, Kind::Int8)?)), Kind::Text))
            }
            Expr::Cast { expr, data_type, .. } => {
                let kind = kind_of(data_type)?;
                let (inner, found) = self.at(expr, Some(kind), depth)?;
                Ok((cast(inner, found, kind), kind))
            }
            Expr::TypedString(typed) => {
                let kind = kind_of(&typed.data_type)?;
                let text = typed.value.clone().value.into_string().unwrap_or_default();
                Ok((Expression::Value(Value::Text(text).cast(kind)?), kind))
            }
            Expr::IsNull(inner) => Ok((Expression::IsNull(Box::new(self.at(inner, None, depth)?.0)), Kind::Bool)),
            Expr::IsNotNull(inner) => {
                let is_null = Expression::IsNull(Box::new(self.at(inner, None, depth)?.0));
                Ok((Expression::Not(Box::new(is_null)), Kind::Bool))
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                Ok((Expression::Not(Box::new(self.boolean(expr, depth)?)), Kind::Bool))
            }
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match expr.as_ref() {
                Expr::Value(value) => match &value.value {
                    Literal::Number(digits, _) => number(&format!("-{digits}"), expected),
                    _ => Err(Refused::unsupported(format!("the expression -{expr}"))),
                },
                _ => Err(Refused::unsupported(format!("the expression -{expr}"))),
            },
            Expr::UnaryOp { op: UnaryOperator::Plus, expr } => self.at(expr, expected, depth),
            Expr::In { expr, target: InTarget::List(list), negated, .. } => {
                if list.len() > DEEPEST {
                    return Err(Refused::new(code::TOO_COMPLEX, format!("IN takes at most {DEEPEST} values")));
                }
                let mut any = Expression::Value(Value::Bool(false));
                for item in list {
                    let equal = self.comparison(expr, Comparison::Equal, item, depth)?;
                    any = Expression::Or(Box::new(any), Box::new(equal));
                }
                let any = if *negated { Expression::Not(Box::new(any)) } else { any };
                Ok((any, Kind::Bool))
            }
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, depth),
            Expr::Function(call) => self.call(call, depth),
            other => Err(Refused::unsupported(format!("the expression {}", shortened(other)))),
        }
    }

    fn binary(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr, depth: usize) -> Planned {
        let comparison = match op {
            BinaryOperator::Eq => Comparison::Equal,
            BinaryOperator::NotEq => Comparison::NotEqual,
            BinaryOperator::Lt => Comparison::Less,
            BinaryOperator::LtEq => Comparison::LessOrEqual,
            BinaryOperator::Gt => Comparison::Greater,
            BinaryOperator::GtEq => Comparison::GreaterOrEqual,
            BinaryOperator::And => {
                let (a, b) = (self.boolean(left, depth)?, self.boolean(right, depth)?);
                return Ok((Expression::And(Box::new(a), Box::new(b)), Kind::Bool));
            }
            BinaryOperator::Or => {
                let (a, b) = (self.boolean(left, depth)?, self.boolean(right, depth)?);
                return Ok((Expression::Or(Box::new(a), Box::new(b)), Kind::Bool));
            }
            BinaryOperator::StringConcat => {
                let (a, b) = (self.at(left, Some(Kind::Text), depth)?.0, self.at(right, Some(Kind::Text), depth)?.0);
                return Ok((Expression::Concat(Box::new(a), Box::new(b)), Kind::Text));
            }
            BinaryOperator::Arrow | BinaryOperator::LongArrow => {
                let of = implicit(self.at(left, Some(Kind::Jsonb), depth)?, Kind::Jsonb)?;
                let (key, kind) = self.at(right, None, depth)?;
                if !matches!(kind, Kind::Text | Kind::Int4 | Kind::Int8) {
                    return Err(mismatch("jsonb", op, kind.name()));
                }
                let as_text = *op == BinaryOperator::LongArrow;
                let kind = if as_text { Kind::Text } else { Kind::Jsonb };
                return Ok((Expression::Member { of: Box::new(of), key: Box::new(key), as_text }, kind));
            }
            other => return Err(Refused::unsupported(format!("the operator {other}"))),
        };
        Ok((self.comparison(left, comparison, right, depth)?, Kind::Bool))
    }

    /// The side that has a type gives it to the one that has none.
    fn comparison(&mut self, left: &Expr, by: Comparison, right: &Expr, depth: usize) -> Result<Expression, Refused> {
        let ((a, a_kind), (b, b_kind)) = if self.is_untyped(left) && !self.is_untyped(right) {
            let right = self.at(right, None, depth)?;
            (self.at(left, Some(right.1), depth)?, right)
        } else {
            let left = self.at(left, None, depth)?;
            let right = self.at(right, Some(left.1), depth)?;
            (left, right)
        };
        if a_kind != b_kind && !(a_kind.is_number() && b_kind.is_number()) {
            let message = format!("operator does not exist: {} = {}", a_kind.name(), b_kind.name());
            return Err(Refused::new(code::UNKNOWN_FUNCTION, message).with_hint("Cast one side to the other's type."));
        }
        Ok(Expression::Compare(Box::new(a), by, Box::new(b)))
    }

    fn is_untyped(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Nested(inner) => self.is_untyped(inner),
            Expr::Value(value) => match &value.value {
                Literal::Placeholder(text) => self.parameters.is_untyped(text),
                Literal::Number(..) | Literal::Boolean(_) => false,
                _ => true,
            },
            _ => false,
        }
    }

    fn boolean(&mut self, expr: &Expr, depth: usize) -> Result<Expression, Refused> {
        match self.at(expr, Some(Kind::Bool), depth)? {
            (expression, Kind::Bool) => Ok(expression),
            (_, kind) => {
                Err(Refused::new(code::TYPE_MISMATCH, format!("argument must be boolean, not {}", kind.name())))
            }
        }
    }

    fn literal(&mut self, literal: &Literal, expected: Option<Kind>) -> Planned {
        let text = match literal {
            Literal::Null => return Ok((Expression::Value(Value::Null), expected.unwrap_or(Kind::Text))),
            Literal::Boolean(value) => return Ok((Expression::Value(Value::Bool(*value)), Kind::Bool)),
            Literal::Number(digits, _) => return number(digits, expected),
            Literal::Placeholder(text) => {
                let (index, kind) = self.parameters.refer(text, expected)?;
                return Ok((Expression::Parameter(index), kind));
            }
            Literal::SingleQuotedString(text)
            | Literal::EscapedStringLiteral(text)
            | Literal::UnicodeStringLiteral(text)
            | Literal::NationalStringLiteral(text) => text,
            Literal::DollarQuotedString(quoted) => &quoted.value,
            other => return Err(Refused::unsupported(format!("the literal {other}"))),
        };
        let kind = expected.unwrap_or(Kind::Text);
        Ok((Expression::Value(Value::text(text.as_str()).cast(kind)?), kind))
    }

    fn column(&mut self, name: &str) -> Planned {
        if let Some(index) = self.columns.iter().position(|column| column.name == name) {
            return Ok((Expression::Column(index), self.columns[index].kind));
        }
        // current_user and its like are functions without parentheses.
        let niladic = Name { schema: None, name: name.to_owned() };
        if let Some(function) = (self.functions)(&niladic)
            && name.starts_with("current_")
        {
            return Ok((Expression::Call(function, Vec::new()), function.result()));
        }
        let mut refused = Refused::new(code::UNKNOWN_COLUMN, format!("column {name:?} does not exist"));
        if !self.columns.is_empty() {
            let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
            refused = refused.with_hint(format!("There are {}.", names.join(", ")));
        }
        Err(refused)
    }

    fn call(&mut self, call: &Call, depth: usize) -> Planned {
        let name = name_of(&call.name)?;
        if call.over.is_some() || call.filter.is_some() || !call.within_group.is_empty() {
            return Err(Refused::unsupported(format!("aggregates and windows ({})", name.name)));
        }
        let given = arguments(&call.args)?;
        if name.is_in(&["pg_catalog"]) && matches!(name.name.as_str(), "jsonb_pretty") {
            return match given.as_slice() {
                [(None, inner)] => {
                    let inner = implicit(self.at(inner, Some(Kind::Jsonb), depth)?, Kind::Jsonb)?;
                    Ok((Expression::JsonbPretty(Box::new(inner)), Kind::Text))
                }
                _ => Err(Refused::new(code::UNKNOWN_FUNCTION, "jsonb_pretty takes one argument")),
            };
        }
        let Some(function) = (self.functions)(&name) else {
            return Err(Refused::new(code::UNKNOWN_FUNCTION, format!("function {name} does not exist")));
        };
        let arguments = self.bind_at(&name.name, &function.arguments(), given, depth)?;
        Ok((Expression::Call(function, arguments), function.result()))
    }

    /// The arguments of a function or of a table's parentheses.
    ///
    /// # Errors
    /// Too many, too few, unknown names, or types that do not fit.
    pub fn bind(
        &mut self,
        function: &str,
        expected: &[Argument],
        given: Vec<(Option<String>, &Expr)>,
    ) -> Result<Vec<Expression>, Refused> {
        self.bind_at(function, expected, given, 0)
    }

    fn bind_at(
        &mut self,
        function: &str,
        expected: &[Argument],
        given: Vec<(Option<String>, &Expr)>,
        depth: usize,
    ) -> Result<Vec<Expression>, Refused> {
        enum Given<'e> {
            Expr(&'e Expr),
            Default(Value),
        }
        let given = given.into_iter().map(|(name, expr)| (name, Given::Expr(expr))).collect();
        let bound = bind(function, expected, given, |value, _| Given::Default(value.clone()))?;
        bound
            .into_iter()
            .zip(expected)
            .map(|(given, argument)| match given {
                Given::Default(value) => Ok(Expression::Value(value)),
                Given::Expr(expr) => implicit(self.at(expr, Some(argument.kind), depth)?, argument.kind),
            })
            .collect()
    }
}

/// The arguments of a call, with their names where they are given.
///
/// # Errors
/// Wildcards, subqueries and the like.
pub(in crate::endpoint) fn arguments(args: &FunctionArguments) -> Result<Vec<(Option<String>, &Expr)>, Refused> {
    match args {
        FunctionArguments::None => Ok(Vec::new()),
        FunctionArguments::Subquery(_) => Err(Refused::unsupported("subqueries")),
        FunctionArguments::List(list) if list.duplicate_treatment.is_none() && list.clauses.is_empty() => {
            list.args.iter().map(argument).collect()
        }
        FunctionArguments::List(_) => Err(Refused::unsupported("aggregates")),
    }
}

pub(in crate::endpoint) fn argument(arg: &FunctionArg) -> Result<(Option<String>, &Expr), Refused> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok((None, expr)),
        FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), .. } => Ok((Some(folded(name)), expr)),
        FunctionArg::ExprNamed { name: Expr::Identifier(name), arg: FunctionArgExpr::Expr(expr), .. } => {
            Ok((Some(folded(name)), expr))
        }
        other => Err(Refused::unsupported(format!("the argument {other}"))),
    }
}

fn number(digits: &str, expected: Option<Kind>) -> Planned {
    if let Ok(number) = digits.parse::<i64>() {
        return match expected {
            Some(Kind::Float8) => Ok((Expression::Value(Value::Float(number as f64)), Kind::Float8)),
            Some(Kind::Int8) => Ok((Expression::Value(Value::Int(number)), Kind::Int8)),
            _ if i32::try_from(number).is_ok() => Ok((Expression::Value(Value::Int(number)), Kind::Int4)),
            _ => Ok((Expression::Value(Value::Int(number)), Kind::Int8)),
        };
    }
    let number = digits.parse().map_err(|_| Refused::syntax(format!("{digits} is no number")))?;
    Ok((Expression::Value(Value::Float(number)), Kind::Float8))
}

/// Casts that happen without being asked for: between numbers, and from a parameter that came as text.
fn implicit((expression, found): (Expression, Kind), wanted: Kind) -> Result<Expression, Refused> {
    let is_free = found == wanted
        || found.is_number() && wanted.is_number()
        || matches!(expression, Expression::Parameter(_) | Expression::Value(Value::Null));
    if !is_free {
        let message = format!("an argument is of type {} and should be of type {}", found.name(), wanted.name());
        return Err(Refused::new(code::TYPE_MISMATCH, message).with_hint("Cast it."));
    }
    Ok(cast(expression, found, wanted))
}

fn cast(expression: Expression, found: Kind, wanted: Kind) -> Expression {
    // A parameter's value has the type that the client told, which need not be the one that was found here.
    match expression {
        expression if found == wanted && !matches!(expression, Expression::Parameter(_)) => expression,
        expression => Expression::Cast(Box::new(expression), wanted),
    }
}

fn mismatch(left: &str, op: &BinaryOperator, right: &str) -> Refused {
    Refused::new(code::UNKNOWN_FUNCTION, format!("operator does not exist: {left} {op} {right}"))
}

fn is_regtype(data_type: &DataType) -> bool {
    matches!(data_type.to_string().to_ascii_lowercase().as_str(), "regtype" | "pg_catalog.regtype")
}

fn kind_of(data_type: &DataType) -> Result<Kind, Refused> {
    let name = data_type.to_string().to_ascii_lowercase();
    let name = name.split('(').next().unwrap_or_default().trim();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
    Ok(match name {
        "bool" | "boolean" => Kind::Bool,
        "int2" | "smallint" | "int4" | "int" | "integer" => Kind::Int4,
        "int8" | "bigint" | "oid" => Kind::Int8,
        "float4" | "real" | "float8" | "float" | "double precision" | "double" | "numeric" | "decimal" => Kind::Float8,
        "text" | "varchar" | "character varying" | "name" | "char" | "character" | "bpchar" | "regclass"
        | "unknown" => Kind::Text,
        "json" | "jsonb" => Kind::Jsonb,
        "timestamptz" | "timestamp" | "timestamp with time zone" | "timestamp without time zone" | "date" => Kind::Time,
        _ => return Err(Refused::new(code::UNKNOWN_OBJECT, format!("type {data_type} does not exist"))),
    })
}

/// A piece of a statement for an error.
pub(in crate::endpoint) fn shortened(piece: &impl std::fmt::Display) -> String {
    let text = piece.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
