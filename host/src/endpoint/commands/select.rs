use std::cmp::Ordering;

use sqlparser::ast::{
    Expr, GroupByExpr, LimitClause, OrderByKind, OrderBySort, Query, Select as Ast, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Statement, TableFactor, Value as Literal,
};

use super::Answer;
use crate::endpoint::context::Context;
use crate::endpoint::sql::{
    Column, Expression, Kind, Name, ParameterKinds, Planner, Refused, Row, Table, Value, Wanted, argument, arguments,
    code, column, folded, name_of, shortened,
};
use crate::endpoint::{functions, views};

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
    /// Resolves all names and types.
    ///
    /// # Errors
    /// Unknown names, types that do not fit, and all that is not supported.
    pub(super) fn plan(statement: Statement, parameters: &mut ParameterKinds) -> Result<Select, Refused> {
        let Statement::Query(query) = statement else { return Err(Refused::unsupported("this statement")) };
        refuse_clauses(&query)?;
        let select = match query.body.as_ref() {
            SetExpr::Select(select) => select,
            SetExpr::SetOperation { .. } => return Err(Refused::unsupported("UNION, INTERSECT and EXCEPT")),
            other => return Err(Refused::unsupported(shortened(other))),
        };
        refuse_parts(select)?;
        let set_function = set_function(select)?;
        let source = match (&set_function, select.from.as_slice()) {
            (Some(found), []) => Some(Source { table: found.table, given: found.given.clone(), qualifiers: Vec::new() }),
            (Some(_), _) => return Err(Refused::unsupported("functions that return sets beside FROM")),
            (None, []) => None,
            (None, [from]) if from.joins.is_empty() => Some(source(&from.relation)?),
            (None, _) => return Err(Refused::unsupported("joins")),
        };
        let source_columns = source.as_ref().map(|source| source.table.columns()).unwrap_or_default();
        let qualifiers = source.as_ref().map(|source| source.qualifiers.clone()).unwrap_or_default();
        let find = functions::find as fn(&Name) -> Option<&'static dyn crate::endpoint::sql::Function>;
        let mut planner = Planner { columns: &[], qualifiers: Vec::new(), functions: find, parameters };
        let source = match source {
            None => None,
            Some(source) => {
                let expected = source.table.arguments().unwrap_or_default();
                Some((source.table, planner.bind(source.table.name(), &expected, source.given)?))
            }
        };
        planner.columns = &source_columns;
        planner.qualifiers = qualifiers;
        let filter = match &select.selection {
            None => None,
            Some(expr) => Some(planner.plan_as(expr, Kind::Bool)?),
        };
        let (output, columns) = match &set_function {
            Some(found) if !found.is_expanded => (Output::Records, vec![column(&found.name, Kind::Text)]),
            _ => output(&mut planner, select, set_function.is_some())?,
        };
        let order = order(&mut planner, &query, &output, &columns)?;
        let (limit, offset) = limits(&mut planner, &query)?;
        Ok(Select { source, source_columns, filter, output, order, limit, offset, columns })
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(super) async fn run(&self, context: &Context, parameters: &[Value]) -> Result<Answer, Refused> {
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
        let mut rows = if is_hopeless { Vec::new() } else { self.source_rows(context, parameters, filter.as_ref()).await? };
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

struct Source<'a> {
    table: &'static dyn Table,
    given: Vec<(Option<String>, &'a Expr)>,
    qualifiers: Vec<String>,
}

fn source(factor: &TableFactor) -> Result<Source<'_>, Refused> {
    let TableFactor::Table { name, alias, args, version: None, sample: None, with_ordinality: false, .. } = factor else {
        return Err(Refused::unsupported(format!("FROM {}", shortened(factor))));
    };
    let name = name_of(name)?;
    let mut qualifiers = vec![name.name.clone()];
    if let Some(alias) = alias {
        if !alias.columns.is_empty() {
            return Err(Refused::unsupported("new names for columns in FROM"));
        }
        qualifiers = vec![folded(&alias.name)];
    }
    let Some(args) = args else {
        let table = views::find(&name)?;
        if table.arguments().is_some() {
            return Err(Refused::new(code::UNKNOWN_TABLE, format!("{name} is a function: {name}()")));
        }
        return Ok(Source { table, given: Vec::new(), qualifiers });
    };
    let given = args.args.iter().map(argument).collect::<Result<_, _>>()?;
    if let Some(table) = functions::find_table(&name) {
        return Ok(Source { table, given, qualifiers });
    }
    match views::find(&name) {
        Ok(table) if table.arguments().is_some() => Ok(Source { table, given, qualifiers }),
        _ => {
            let refused = Refused::new(code::UNKNOWN_FUNCTION, format!("function {name} does not return a set"));
            Err(match functions::find(&name) {
                Some(_) => refused.with_hint(format!("SELECT {name}(...)")),
                None => Refused::new(code::UNKNOWN_FUNCTION, format!("function {name} does not exist")),
            })
        }
    }
}

/// A function that returns a set, as the only thing that is selected.
struct SetFunction<'a> {
    table: &'static dyn Table,
    name: String,
    given: Vec<(Option<String>, &'a Expr)>,
    /// `(function()).*`
    is_expanded: bool,
}

fn set_function(select: &Ast) -> Result<Option<SetFunction<'_>>, Refused> {
    for item in &select.projection {
        let (expr, alias, is_expanded) = match item {
            SelectItem::UnnamedExpr(expr) => (expr, None, false),
            SelectItem::ExprWithAlias { expr, alias } => (expr, Some(folded(alias)), false),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(expr), _) => (expr, None, true),
            _ => continue,
        };
        let mut inner = expr;
        while let Expr::Nested(nested) = inner {
            inner = nested;
        }
        let Expr::Function(call) = inner else { continue };
        let name = name_of(&call.name)?;
        let Some(table) = functions::find_table(&name) else { continue };
        if select.projection.len() > 1 {
            return Err(Refused::unsupported(format!("{} beside other columns", name.name))
                .with_hint(format!("SELECT ... FROM {}(...)", name.name)));
        }
        let given = arguments(&call.args)?;
        return Ok(Some(SetFunction { table, name: alias.unwrap_or(name.name), given, is_expanded }));
    }
    Ok(None)
}

fn output(planner: &mut Planner<'_>, select: &Ast, is_expanded: bool) -> Result<(Output, Vec<Column>), Refused> {
    let mut expressions = Vec::new();
    let mut columns = Vec::new();
    for item in &select.projection {
        match item {
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                if let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) = item
                    && !planner.qualifiers.contains(&name_of(name)?.name)
                {
                    return Err(Refused::new(code::UNKNOWN_TABLE, format!("missing FROM-clause entry for {name}")));
                }
                if planner.columns.is_empty() && !is_expanded {
                    return Err(Refused::syntax("SELECT * with no tables specified is not valid"));
                }
                expressions.extend((0..planner.columns.len()).map(Expression::Column));
                columns.extend(planner.columns.iter().cloned());
            }
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                let alias = match item {
                    SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
                    _ => None,
                };
                if is_count(expr) {
                    if select.projection.len() > 1 {
                        return Err(Refused::unsupported("count(*) beside other columns"));
                    }
                    let name = alias.as_deref().unwrap_or("count");
                    return Ok((Output::Count, vec![column(name, Kind::Int8)]));
                }
                let (expression, kind) = planner.plan(expr, None)?;
                columns.push(column(&alias.unwrap_or_else(|| name_for(expr)), kind));
                expressions.push(expression);
            }
            other => return Err(Refused::unsupported(shortened(other))),
        }
    }
    Ok((Output::Expressions(expressions), columns))
}

fn is_count(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(call) if call.to_string().eq_ignore_ascii_case("count(*)"))
}

/// As PostgreSQL names a column that has no name.
fn name_for(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => folded(ident),
        Expr::CompoundIdentifier(parts) => parts.last().map(folded).unwrap_or_default(),
        // `pgheal.forward` answers a column named answer.
        Expr::Function(call) => match name_of(&call.name) {
            Ok(name) if name.name == "forward" => "answer".to_owned(),
            Ok(name) => name.name,
            Err(_) => "?column?".to_owned(),
        },
        Expr::Nested(inner) => name_for(inner),
        Expr::Cast { expr, data_type, .. } => match name_for(expr) {
            name if name == "?column?" => data_type.to_string().to_ascii_lowercase(),
            name => name,
        },
        _ => "?column?".to_owned(),
    }
}

fn order(planner: &mut Planner<'_>, query: &Query, output: &Output, columns: &[Column]) -> Result<Vec<Order>, Refused> {
    let Some(order_by) = &query.order_by else { return Ok(Vec::new()) };
    let OrderByKind::Expressions(items) = &order_by.kind else { return Err(Refused::unsupported("ORDER BY ALL")) };
    let expressions: &[Expression] = match output {
        Output::Expressions(expressions) => expressions,
        _ => &[],
    };
    let mut order = Vec::with_capacity(items.len());
    for item in items {
        let named = match &item.expr {
            Expr::Identifier(ident) => {
                let name = folded(ident);
                columns.iter().position(|column| column.name == name)
            }
            Expr::Value(value) => match &value.value {
                Literal::Number(digits, _) => {
                    let place = digits.parse::<usize>().ok().filter(|place| (1..=columns.len()).contains(place));
                    let refused = || Refused::new("42P10", format!("ORDER BY position {digits} is not in select list"));
                    Some(place.ok_or_else(refused)? - 1)
                }
                _ => None,
            },
            _ => None,
        };
        let by = match named.and_then(|place| expressions.get(place)) {
            Some(expression) => expression.clone(),
            None => planner.plan(&item.expr, None)?.0,
        };
        let descending = match &item.options.sort {
            None | Some(OrderBySort::Asc) => false,
            Some(OrderBySort::Desc) => true,
            Some(OrderBySort::Using(_)) => return Err(Refused::unsupported("ORDER BY ... USING")),
        };
        order.push(Order { by, descending, nulls_first: item.options.nulls_first.unwrap_or(descending) });
    }
    Ok(order)
}

fn limits(planner: &mut Planner<'_>, query: &Query) -> Result<(Option<Expression>, Option<Expression>), Refused> {
    let columns = std::mem::take(&mut planner.columns);
    let mut plan = |expr: &Expr| planner.plan_as(expr, Kind::Int8);
    let limits = match &query.limit_clause {
        None => (None, None),
        Some(LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
            let limit = limit.as_ref().map(&mut plan).transpose()?;
            (limit, offset.as_ref().map(|offset| plan(&offset.value)).transpose()?)
        }
        Some(other) => return Err(Refused::unsupported(shortened(other))),
    };
    planner.columns = columns;
    Ok(limits)
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

fn refuse_clauses(query: &Query) -> Result<(), Refused> {
    let clauses = [
        (query.with.is_some(), "WITH"),
        (query.fetch.is_some(), "FETCH"),
        (!query.locks.is_empty(), "FOR UPDATE and its like"),
        (query.for_clause.is_some(), "FOR"),
        (query.settings.is_some() || query.format_clause.is_some() || !query.pipe_operators.is_empty(), "this clause"),
    ];
    refuse(&clauses)
}

fn refuse_parts(select: &Ast) -> Result<(), Refused> {
    let is_grouped = match &select.group_by {
        GroupByExpr::Expressions(expressions, modifiers) => !expressions.is_empty() || !modifiers.is_empty(),
        GroupByExpr::All(_) => true,
    };
    let parts = [
        (select.distinct.is_some(), "DISTINCT"),
        (select.top.is_some(), "TOP"),
        (select.into.is_some(), "SELECT INTO"),
        (is_grouped, "GROUP BY"),
        (select.having.is_some(), "HAVING"),
        (!select.named_window.is_empty() || select.qualify.is_some(), "windows"),
        (!select.lateral_views.is_empty() || select.prewhere.is_some() || select.exclude.is_some(), "this clause"),
        (!select.connect_by.is_empty() || !select.sort_by.is_empty(), "this clause"),
        (!select.cluster_by.is_empty() || !select.distribute_by.is_empty(), "this clause"),
        (select.value_table_mode.is_some(), "this clause"),
    ];
    refuse(&parts)
}

fn refuse(parts: &[(bool, &str)]) -> Result<(), Refused> {
    match parts.iter().find(|(is_there, _)| *is_there) {
        Some((_, name)) => Err(Refused::unsupported(name)),
        None => Ok(()),
    }
}

/// A row as PostgreSQL prints a composite value.
fn record(row: &Row) -> String {
    let field = |value: &Value| match value.to_text() {
        None => String::new(),
        Some(text) if text.is_empty() || text.contains(['"', '\\', '(', ')', ',']) || text.contains(char::is_whitespace) => {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\""))
        }
        Some(text) => text,
    };
    format!("({})", row.iter().map(field).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::daemon::api::Role;
    use crate::endpoint::played::{Played, context, run, told};

    async fn check(sql: &str, expected: Result<&str, &str>) {
        let context = context(Arc::new(Played::default()), None, Role::Reader, false);
        let found = run(&context, sql, &[Value::text("shop"), Value::Int(1)]).await;
        let found = found.map(|answer| told(&answer)).map_err(|refused| refused.code);
        assert_eq!(found.as_deref().map_err(|code| *code), expected, "{sql}");
    }

    #[tokio::test]
    async fn views_are_filtered_sorted_and_cut() {
        check("SELECT target, index_name FROM pgheal.indexes", Ok("shop|a\nshop|b\nblog|c")).await;
        check("select index_name from indexes where target = 'shop' and verdict = 'healthy'", Ok("a")).await;
        check("SELECT i.index_name AS n FROM pgheal.indexes AS i WHERE i.target = $1 ORDER BY n DESC", Ok("b\na")).await;
        check("SELECT index_name FROM pgheal.indexes ORDER BY 1 DESC LIMIT $2 OFFSET 1", Ok("b")).await;
        check("SELECT index_name FROM pgheal.indexes ORDER BY recall_p5, index_name LIMIT ALL", Ok("a\nb\nc")).await;
        check("SELECT count(*) FROM pgheal.indexes WHERE recall_at_10 >= 0.9", Ok("3")).await;
        check("SELECT issue_id FROM pgheal.issues WHERE severity IN ('high') AND target = 'blog'", Ok("stale_training-2"))
            .await;
        check("SELECT evidence->0->>'value' FROM pgheal.issues LIMIT 1", Ok("200 h")).await;
        check("SELECT duration_ms, outcome FROM pgheal.history WHERE target = 'shop'", Ok("1500|NULL")).await;
        check("SELECT target, state, reason FROM pgheal.targets WHERE reason IS NOT NULL", Ok("blog|failed|gone")).await;
        check("SELECT last_check_time FROM pgheal.metrics LIMIT 1", Ok("1970-01-01 00:00:01+00")).await;
        check("SELECT name, value, source FROM pgheal.settings LIMIT 1", Ok("ruvector.dag_healing_threshold|0.3|default"))
            .await;
        check("SELECT * FROM pgheal.policies", Ok("")).await;
        check("SELECT * FROM pgheal.active_repairs", Ok("")).await;
        check("SELECT table_name FROM information_schema.tables WHERE table_name = 'issues'", Ok("issues")).await;
        check("SELECT data_type FROM information_schema.columns WHERE column_name = 'evidence'", Ok("jsonb")).await;
    }

    #[tokio::test]
    async fn expressions_without_a_table_are_calculated() {
        check("SELECT 1, 'a' || 'b', NULL, true, -2.5", Ok("1|ab|NULL|t|-2.5")).await;
        check("SELECT '7'::int4 = 7, 'on'::boolean AND NOT false", Ok("t|t")).await;
        check("SELECT current_database(), current_user, current_schema()", Ok("pgheal|ann|pgheal")).await;
        check("SELECT pg_catalog.current_setting('search_path')", Ok("pgheal, public")).await;
        check("SELECT current_setting('no.such', true)", Ok("NULL")).await;
        check("SELECT 1 WHERE false", Ok("")).await;
        check("SELECT set_config('bytea_output','hex',false) FROM pg_show_all_settings() WHERE name = 'bytea_output'", Ok("hex"))
            .await;
    }

    #[tokio::test]
    async fn mistakes_have_their_sqlstate() {
        check("SELECT nothing FROM pgheal.issues", Err("42703")).await;
        check("SELECT * FROM pgheal.nothing", Err("42P01")).await;
        check("SELECT * FROM pg_catalog.pg_class", Err("0A000")).await;
        check("SELECT nothing()", Err("42883")).await;
        check("SELECT * FROM nothing()", Err("42883")).await;
        check("SELECT *", Err("42601")).await;
        check("SELECT 1 +", Err("42601")).await;
        check("SELECT 1 FROM pgheal.issues JOIN pgheal.history ON true", Err("0A000")).await;
        check("SELECT kind, count(*) FROM pgheal.issues GROUP BY kind", Err("0A000")).await;
        check("SELECT (SELECT 1)", Err("0A000")).await;
        check("SELECT 1 UNION SELECT 2", Err("0A000")).await;
        check("SELECT 1 FROM pgheal.issues WHERE kind = 7", Err("42883")).await;
        check("SELECT 1 FROM pgheal.issues WHERE detected_at = 'yesterday'", Err("22P02")).await;
        check("SELECT 1 LIMIT -1", Err("2201W")).await;
        check("SELECT index_name FROM pgheal.indexes ORDER BY 9", Err("42P10")).await;
        check("INSERT INTO pgheal.issues VALUES (1)", Err("0A000")).await;
        check("EXPLODE", Err("42601")).await;
        check(&format!("SELECT {}", vec!["true"; 300].join(" AND ")), Err("54001")).await;
    }

    #[tokio::test]
    async fn records_are_printed_as_postgres_does() {
        let check = |row: Row, expected: &str| assert_eq!(record(&row), expected);
        check(vec![Value::Int(1), Value::Null, Value::text("a b")], "(1,,\"a b\")");
        check(vec![Value::text("say \"hi\""), Value::text("")], "(\"say \"\"hi\"\"\",\"\")");
    }
}
