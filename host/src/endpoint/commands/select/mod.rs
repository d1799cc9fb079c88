mod plan;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use super::Answer;
use crate::endpoint::context::Context;
use crate::endpoint::sql::{Column, Expression, Refused, Row, Table, Value, Wanted};

/// `SELECT columns FROM view WHERE ... ORDER BY ... LIMIT ... OFFSET ...`: of one view, of one function, or of nothing.
pub(in crate::endpoint) struct Select {
    source: Option<(&'static dyn Table, Vec<Expression>)>,
    source_columns: Vec<Column>,
    filter: Option<Expression>,
    output: Output,
    order: Vec<Order>,
    limit: Option<Expression>,
    offset: Option<Expression>,
    columns: Vec<Column>,
}

enum Output {
    Expressions(Vec<Expression>),
    /// `count(*)`
    Count,
    /// A function that returns a set, in the place of a column: its rows as composite values.
    Records,
}

struct Order {
    by: Expression,
    descending: bool,
    nulls_first: bool,
}

impl Select {
    pub(in crate::endpoint::commands) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(in crate::endpoint::commands) async fn run(
        &self,
        context: &Context,
        parameters: &[Value],
    ) -> Result<Answer, Refused> {
        let limit = count(&self.limit, context, parameters, "LIMIT").await?;
        let offset = count(&self.offset, context, parameters, "OFFSET").await?.unwrap_or(0);
        let filter = match &self.filter {
            None => None,
            Some(filter) => Some(filter.clone().settle(context, parameters).await?),
        };
        // A statement that cannot answer a row asks for nothing: WHERE false must not start a repair.
        let is_hopeless = limit == Some(0)
            || filter.as_ref().is_some_and(|filter| {
                !filter.has_columns() && filter.evaluate(&[]).is_ok_and(|value| value != Value::Bool(true))
            });
        let mut rows =
            if is_hopeless { Vec::new() } else { self.source_rows(context, parameters, filter.as_ref()).await? };
        if let Some(filter) = &filter {
            let mut kept = Vec::with_capacity(rows.len());
            for row in rows {
                if filter.evaluate(&row)? == Value::Bool(true) {
                    kept.push(row);
                }
            }
            rows = kept;
        }
        if let Output::Count = self.output {
            let counted = if limit == Some(0) { Vec::new() } else { vec![vec![Value::Int(rows.len() as i64)]] };
            return Ok(Answer { rows: counted, ..Answer::done("SELECT") });
        }
        self.sort(&mut rows, context, parameters).await?;
        let rows = rows.into_iter().skip(offset).take(limit.unwrap_or(usize::MAX)).collect();
        Ok(Answer { rows: self.project(rows, context, parameters).await?, ..Answer::done("SELECT") })
    }

    async fn source_rows(
        &self,
        context: &Context,
        parameters: &[Value],
        filter: Option<&Expression>,
    ) -> Result<Vec<Row>, Refused> {
        let Some((table, given)) = &self.source else { return Ok(vec![Vec::new()]) };
        let mut arguments = Vec::with_capacity(given.len());
        for argument in given {
            arguments.push(argument.clone().settle(context, parameters).await?.evaluate(&[])?);
        }
        let mut equal = Vec::new();
        if let Some(filter) = filter {
            filter.equalities(&mut equal);
        }
        let named = |(index, value): (usize, Value)| Some((self.source_columns.get(index)?.name.clone(), value));
        let wanted = Wanted { equal: equal.into_iter().filter_map(named).collect() };
        table.rows(context, arguments, &wanted).await
    }

    async fn sort(&self, rows: &mut Vec<Row>, context: &Context, parameters: &[Value]) -> Result<(), Refused> {
        if self.order.is_empty() || rows.len() < 2 {
            return Ok(());
        }
        // What is the same for all rows sorts nothing, and a function must not be asked a second time for it.
        let order: Vec<&Order> = self.order.iter().filter(|order| order.by.has_columns()).collect();
        let mut settled = Vec::with_capacity(order.len());
        for order in &order {
            settled.push(order.by.clone().settle(context, parameters).await?);
        }
        let mut keyed = Vec::with_capacity(rows.len());
        for row in rows.drain(..) {
            let keys: Result<Vec<Value>, Refused> = settled.iter().map(|by| by.evaluate(&row)).collect();
            keyed.push((keys?, row));
        }
        keyed.sort_by(|(a, _), (b, _)| {
            let each = order.iter().zip(a.iter().zip(b));
            each.map(|(order, (a, b))| order.compare(a, b)).find(|found| found.is_ne()).unwrap_or(Ordering::Equal)
        });
        rows.extend(keyed.into_iter().map(|(_, row)| row));
        Ok(())
    }

    async fn project(&self, rows: Vec<Row>, context: &Context, parameters: &[Value]) -> Result<Vec<Row>, Refused> {
        let expressions = match &self.output {
            Output::Records => return Ok(rows.iter().map(|row| vec![Value::Text(record(row))]).collect()),
            Output::Expressions(expressions) if !rows.is_empty() => expressions,
            _ => return Ok(Vec::new()),
        };
        let mut settled = Vec::with_capacity(expressions.len());
        for expression in expressions {
            settled.push(expression.clone().settle(context, parameters).await?);
        }
        rows.iter().map(|row| settled.iter().map(|expression| expression.evaluate(row)).collect()).collect()
    }
}

impl Order {
    fn compare(&self, a: &Value, b: &Value) -> Ordering {
        match (a, b) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) if self.nulls_first => Ordering::Less,
            (Value::Null, _) => Ordering::Greater,
            (_, Value::Null) if self.nulls_first => Ordering::Greater,
            (_, Value::Null) => Ordering::Less,
            _ => {
                let found = a.compare(b).unwrap_or(Ordering::Equal);
                if self.descending { found.reverse() } else { found }
            }
        }
    }
}

/// NULL, as LIMIT ALL, is no limit.
async fn count(
    expression: &Option<Expression>,
    context: &Context,
    parameters: &[Value],
    clause: &str,
) -> Result<Option<usize>, Refused> {
    let Some(expression) = expression else { return Ok(None) };
    match expression.clone().settle(context, parameters).await?.evaluate(&[])? {
        Value::Int(number) => match usize::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Refused::new("2201W", format!("{clause} must not be negative"))),
        },
        _ => Ok(None),
    }
}

/// A row as PostgreSQL prints a composite value.
fn record(row: &Row) -> String {
    let field = |value: &Value| match value.to_text() {
        None => String::new(),
        Some(text)
            if text.is_empty() || text.contains(['"', '\\', '(', ')', ',']) || text.contains(char::is_whitespace) =>
        {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\""))
        }
        Some(text) => text,
    };
    format!("({})", row.iter().map(field).collect::<Vec<_>>().join(","))
}
