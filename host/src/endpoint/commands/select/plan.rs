use sqlparser::ast::{
    Expr, GroupByExpr, LimitClause, OrderByKind, OrderBySort, Query, Select as Ast, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Statement, TableFactor, Value as Literal,
};

use super::{Order, Output, Select};
use crate::endpoint::sql::{
    Column, Expression, Function, Kind, Name, ParameterKinds, Planner, Refused, Table, argument, arguments, code,
    column, folded, name_of, shortened,
};
use crate::endpoint::{functions, views};

impl Select {
    /// Resolves all names and types.
    ///
    /// # Errors
    /// Unknown names, types that do not fit, and all that is not supported.
    pub(in crate::endpoint::commands) fn plan(
        statement: Statement,
        parameters: &mut ParameterKinds,
    ) -> Result<Select, Refused> {
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
            (Some(found), []) => {
                Some(Source { table: found.table, given: found.given.clone(), qualifiers: Vec::new() })
            }
            (Some(_), _) => return Err(Refused::unsupported("functions that return sets beside FROM")),
            (None, []) => None,
            (None, [from]) if from.joins.is_empty() => Some(source(&from.relation)?),
            (None, _) => return Err(Refused::unsupported("joins")),
        };
        let source_columns = source.as_ref().map(|source| source.table.columns()).unwrap_or_default();
        let qualifiers = source.as_ref().map(|source| source.qualifiers.clone()).unwrap_or_default();
        let find = functions::find as fn(&Name) -> Option<&'static dyn Function>;
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
            Some(found) => (Output::Records, vec![column(&found.name, Kind::Text)]),
            None => output(&mut planner, select)?,
        };
        let order = order(&mut planner, &query, &output, &columns)?;
        let (limit, offset) = limits(&mut planner, &query)?;
        Ok(Select { source, source_columns, filter, output, order, limit, offset, columns })
    }
}

struct Source<'a> {
    table: &'static dyn Table,
    given: Vec<(Option<String>, &'a Expr)>,
    qualifiers: Vec<String>,
}

fn source(factor: &TableFactor) -> Result<Source<'_>, Refused> {
    let TableFactor::Table { name, alias, args, version: None, sample: None, with_ordinality: false, .. } = factor
    else {
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
}

fn set_function(select: &Ast) -> Result<Option<SetFunction<'_>>, Refused> {
    for item in &select.projection {
        let (expr, alias) = match item {
            SelectItem::UnnamedExpr(expr) => (expr, None),
            SelectItem::ExprWithAlias { expr, alias } => (expr, Some(folded(alias))),
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
        return Ok(Some(SetFunction { table, name: alias.unwrap_or(name.name), given }));
    }
    Ok(None)
}

fn output(planner: &mut Planner<'_>, select: &Ast) -> Result<(Output, Vec<Column>), Refused> {
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
                if planner.columns.is_empty() {
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
