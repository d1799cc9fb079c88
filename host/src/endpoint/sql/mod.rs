//! The small part of SQL that is understood: tokens, values, expressions, tables in memory. Of pgheal
//! it knows the context that functions are called in, and nothing else.

mod ast;
mod call;
mod expression;
mod json;
mod parameters;
mod planner;
mod refused;
mod table;
mod time;
mod tokens;
mod value;

pub(super) use ast::{Name, folded, name_of};
pub(super) use call::{Argument, Function, bind};
pub(super) use expression::Expression;
pub(super) use json::object_of;
pub(super) use parameters::{ParameterKinds, decode};
pub(super) use planner::{Planner, argument, arguments, shortened};
pub(super) use refused::{Refused, code};
pub(super) use table::{Column, Row, Table, Wanted, column};
pub(super) use time::{iso_text, micros_of, parse_time, time_text};
pub(super) use tokens::{Tokens, parse_query, split, unexpected};
pub(super) use value::{Kind, Value};
