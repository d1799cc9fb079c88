use async_trait::async_trait;

use super::targets_wanted;
use crate::endpoint::context::Context;
use crate::endpoint::sql::{Column, Kind, Refused, Row, Table, Value, Wanted, column};

/// `pgheal.settings`: every setting of the healing, its value, and where it came from.
pub(super) struct Settings;

#[async_trait]
impl Table for Settings {
    fn schema(&self) -> &'static str {
        "pgheal"
    }

    fn name(&self) -> &'static str {
        "settings"
    }

    fn columns(&self) -> Vec<Column> {
        vec![
            column("target", Kind::Text),
            column("name", Kind::Text),
            column("value", Kind::Text),
            column("source", Kind::Text),
            column("refused", Kind::Text),
        ]
    }

    async fn rows(&self, context: &Context, _: Vec<Value>, wanted: &Wanted) -> Result<Vec<Row>, Refused> {
        let mut rows = Vec::new();
        for target in targets_wanted(context, wanted) {
            for setting in context.engine.settings(&target, &context.settings)? {
                rows.push(vec![
                    Value::text(&target),
                    Value::text(setting.name),
                    Value::Text(setting.value),
                    Value::Text(setting.source),
                    Value::of(setting.refused, Value::Text),
                ]);
            }
        }
        Ok(rows)
    }
}
