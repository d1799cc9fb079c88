use async_trait::async_trait;

use super::PGHEAL;
use crate::endpoint::context::{ALL_TARGETS, Context, Scope};
use crate::endpoint::sql::{Argument, Column, Kind, Refused, Row, Table, Value, Wanted, column};

/// A view or function of the system catalogs that tools read when they connect.
struct Known {
    schema: &'static str,
    name: &'static str,
    /// Whether it is called: `FROM pg_show_all_settings()`.
    is_function: bool,
    columns: &'static [(&'static str, Kind)],
    rows: fn(&Context) -> Vec<Row>,
}

static KNOWN: [Known; 9] = [
    Known {
        schema: "information_schema",
        name: "schemata",
        is_function: false,
        columns: &[("catalog_name", Kind::Text), ("schema_name", Kind::Text), ("schema_owner", Kind::Text)],
        rows: |context| {
            vec![vec![Value::text(&context.session.database), Value::text("pgheal"), Value::text("pgheal")]]
        },
    },
    Known {
        schema: "information_schema",
        name: "tables",
        is_function: false,
        columns: &[
            ("table_catalog", Kind::Text),
            ("table_schema", Kind::Text),
            ("table_name", Kind::Text),
            ("table_type", Kind::Text),
        ],
        rows: |context| {
            let row = |view: &&dyn Table| {
                [&context.session.database, view.schema(), view.name(), "VIEW"].map(Value::text).to_vec()
            };
            PGHEAL.iter().map(row).collect()
        },
    },
    Known {
        schema: "information_schema",
        name: "columns",
        is_function: false,
        columns: &[
            ("table_catalog", Kind::Text),
            ("table_schema", Kind::Text),
            ("table_name", Kind::Text),
            ("column_name", Kind::Text),
            ("ordinal_position", Kind::Int4),
            ("is_nullable", Kind::Text),
            ("data_type", Kind::Text),
        ],
        rows: |context| {
            let mut rows = Vec::new();
            for view in PGHEAL {
                for (position, column) in view.columns().into_iter().enumerate() {
                    rows.push(vec![
                        Value::text(&context.session.database),
                        Value::text(view.schema()),
                        Value::text(view.name()),
                        Value::Text(column.name),
                        Value::Int(position as i64 + 1),
                        Value::text("YES"),
                        Value::text(column.kind.name()),
                    ]);
                }
            }
            rows
        },
    },
    Known {
        schema: "pg_catalog",
        name: "pg_namespace",
        is_function: false,
        columns: &[("oid", Kind::Int8), ("nspname", Kind::Text)],
        rows: |_| vec![vec![Value::Int(FIRST_OID), Value::text("pgheal")]],
    },
    Known {
        schema: "pg_catalog",
        name: "pg_database",
        is_function: false,
        columns: &[
            ("oid", Kind::Int8),
            ("datname", Kind::Text),
            ("datdba", Kind::Int8),
            ("encoding", Kind::Int4),
            ("datistemplate", Kind::Bool),
            ("datallowconn", Kind::Bool),
        ],
        rows: |context| {
            let mut names: Vec<String> = match &context.scope {
                Scope::All => context.targets().iter().map(|target| target.name.clone()).collect(),
                Scope::One(_) => vec![context.session.database.clone()],
            };
            if context.scope == Scope::All {
                names.push(ALL_TARGETS.to_owned());
            }
            let row = |(number, name): (i64, String)| {
                vec![
                    Value::Int(FIRST_OID + number),
                    Value::Text(name),
                    Value::Int(FIRST_OID),
                    Value::Int(UTF8),
                    Value::Bool(false),
                    Value::Bool(true),
                ]
            };
            (0..).zip(names).map(row).collect()
        },
    },
    Known {
        schema: "pg_catalog",
        name: "pg_roles",
        is_function: false,
        columns: &[
            ("oid", Kind::Int8),
            ("rolname", Kind::Text),
            ("rolsuper", Kind::Bool),
            ("rolcreaterole", Kind::Bool),
            ("rolcreatedb", Kind::Bool),
            ("rolcanlogin", Kind::Bool),
        ],
        rows: |context| {
            vec![vec![
                Value::Int(FIRST_OID),
                Value::text(&context.session.user),
                Value::Bool(false),
                Value::Bool(false),
                Value::Bool(false),
                Value::Bool(true),
            ]]
        },
    },
    Known {
        schema: "pg_catalog",
        name: "pg_type",
        is_function: false,
        columns: &[
            ("oid", Kind::Int8),
            ("typname", Kind::Text),
            ("typlen", Kind::Int4),
            ("typtype", Kind::Text),
            ("typdelim", Kind::Text),
            ("typelem", Kind::Int8),
            ("typarray", Kind::Int8),
        ],
        rows: |_| Kind::ALL.map(type_row).to_vec(),
    },
    Known {
        schema: "pg_catalog",
        name: "pg_settings",
        is_function: false,
        columns: &[("name", Kind::Text), ("setting", Kind::Text)],
        rows: settings,
    },
    Known {
        schema: "pg_catalog",
        name: "pg_show_all_settings",
        is_function: true,
        columns: &[("name", Kind::Text), ("setting", Kind::Text)],
        rows: settings,
    },
];

/// PostgreSQL's first OID for objects of users.
const FIRST_OID: i64 = 16_384;
/// `pg_char_to_encoding('UTF8')`
const UTF8: i64 = 6;

fn settings(context: &Context) -> Vec<Row> {
    let row = |(name, value): (&str, String)| vec![Value::text(name), Value::Text(value)];
    context.session.client.all().into_iter().map(row).collect()
}

fn type_row(kind: Kind) -> Row {
    vec![
        Value::Int(kind.oid().into()),
        Value::text(kind.short_name()),
        Value::Int(kind.size().into()),
        Value::text("b"),
        Value::text(","),
        Value::Int(0),
        Value::Int(kind.array_oid().into()),
    ]
}

pub(super) fn all() -> impl Iterator<Item = &'static dyn Table> {
    KNOWN.iter().map(|known| known as &dyn Table)
}

#[async_trait]
impl Table for Known {
    fn schema(&self) -> &'static str {
        self.schema
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn arguments(&self) -> Option<Vec<Argument>> {
        self.is_function.then(Vec::new)
    }

    fn columns(&self) -> Vec<Column> {
        self.columns.iter().map(|(name, kind)| column(name, *kind)).collect()
    }

    async fn rows(&self, context: &Context, _: Vec<Value>, _: &Wanted) -> Result<Vec<Row>, Refused> {
        Ok((self.rows)(context))
    }
}
