use tokio_postgres::Client;

use crate::components::HostError;
use crate::model::{AccessMethod, IndexDefinition};

use super::actions::base_column;
use super::error::database_error;
use super::settings::RepairSettings;

/// What cannot be done to an index, whatever the time, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Why its rows must not be re-inserted.
    pub reinsertion: Option<String>,
    /// Why it cannot be built beside and swapped.
    pub rebuild: Option<String>,
    /// Why its search parameter cannot be set for the database, where that was asked.
    pub parameter: Option<String>,
}

const FACTS: &str = "
SELECT c.relkind::text, pg_has_role(c.relowner, 'USAGE'), pg_is_in_recovery(), row_security_active(c.oid),
    EXISTS (SELECT FROM pg_constraint WHERE conindid = $2),
    coalesce((SELECT rolsuper FROM pg_roles WHERE rolname = current_user), false)
        OR CASE WHEN current_setting('server_version_num')::int >= 150000
                THEN (SELECT has_parameter_privilege('session_replication_role', 'SET')) ELSE false END,
    EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal AND tgenabled IN ('O', 'R', 'A')),
    EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal AND tgenabled IN ('R', 'A')),
    EXISTS (SELECT FROM pg_rewrite WHERE ev_class = c.oid AND ev_enabled <> 'D'),
    current_setting('wal_level') = 'logical' AND (
        EXISTS (SELECT FROM pg_publication_tables AS p JOIN pg_namespace AS n ON n.nspname = p.schemaname
                 WHERE n.oid = c.relnamespace AND p.tablename = c.relname)
        OR EXISTS (SELECT FROM pg_replication_slots
                    WHERE slot_type = 'logical' AND database = current_database() AND plugin <> 'pgoutput'))
FROM pg_class AS c WHERE c.oid = $1";

/// What re-insertion and rebuild of this index would be refused for, by its table, its kind and our privileges.
pub async fn refusals(
    client: &Client,
    index: &IndexDefinition,
    settings: &RepairSettings,
) -> Result<Refusals, HostError> {
    let facts = Facts::read(client, index).await?;
    let column = base_column(client, index).await?;
    Ok(Refusals {
        reinsertion: facts.against_reinsertion(index, settings).or(column.err()),
        rebuild: facts.against_rebuild(index),
        parameter: None,
    })
}

struct Facts {
    relkind: String,
    is_owner: bool,
    in_recovery: bool,
    row_security: bool,
    has_constraint: bool,
    may_silence_triggers: bool,
    has_triggers: bool,
    /// Triggers that fire whatever `session_replication_role` says.
    has_stubborn_triggers: bool,
    has_rules: bool,
    is_replicated: bool,
}

impl Facts {
    async fn read(client: &Client, index: &IndexDefinition) -> Result<Self, HostError> {
        let row = client
            .query_opt(FACTS, &[&index.name.table_oid, &index.name.oid])
            .await
            .map_err(|e| database_error(&e))?
            .ok_or_else(super::error::gone)?;
        Ok(Facts {
            relkind: row.get(0),
            is_owner: row.get(1),
            in_recovery: row.get(2),
            row_security: row.get(3),
            has_constraint: row.get(4),
            may_silence_triggers: row.get(5),
            has_triggers: row.get(6),
            has_stubborn_triggers: row.get(7),
            has_rules: row.get(8),
            is_replicated: row.get(9),
        })
    }

    fn against_rebuild(&self, index: &IndexDefinition) -> Option<String> {
        let reason = if index.is_partition {
            "it is part of a partitioned index: only REINDEX INDEX CONCURRENTLY works, without undo"
        } else if index.persistence == 't' {
            "the table is temporary: it belongs to another session"
        } else if self.has_constraint {
            "a constraint depends on it"
        } else if !self.is_owner {
            "only the owner of the table can build, rename and drop its indexes"
        } else if self.in_recovery {
            "the server is in recovery"
        } else {
            return None;
        };
        Some(reason.to_owned())
    }

    fn against_reinsertion(&self, index: &IndexDefinition, settings: &RepairSettings) -> Option<String> {
        let consents = settings.consents;
        let triggers_would_fire =
            if self.may_silence_triggers { self.has_stubborn_triggers } else { self.has_triggers };
        let reason = if index.name.method == AccessMethod::Ivfflat {
            "a re-inserted row goes into the same list of an ivfflat index: nothing would change"
        } else if index.persistence == 't' {
            "the table is temporary: it belongs to another session"
        } else if self.relkind == "f" {
            "the table is a foreign table"
        } else if self.in_recovery {
            "the server is in recovery"
        } else if self.row_security {
            "row security hides rows of the table from this role"
        } else if triggers_would_fire && !consents.triggers {
            "triggers of the table would see two updates of each row (consent: triggers)"
        } else if self.has_rules && !consents.triggers {
            "rules of the table would rewrite the updates (consent: triggers)"
        } else if self.is_replicated && !consents.logical_replication {
            "logical replication would send two updates of each row (consent: logical_replication)"
        } else {
            return None;
        };
        Some(reason.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heal::repair::settings::Consents;
    use crate::model::IndexName;

    fn index() -> IndexDefinition {
        IndexDefinition {
            name: IndexName {
                oid: 2,
                schema: "public".to_owned(),
                name: "i".to_owned(),
                table_oid: 1,
                table_schema: "public".to_owned(),
                table: "t".to_owned(),
                method: AccessMethod::Hnsw,
            },
            opclass: "vector_l2_ops".to_owned(),
            vector_type: "vector".to_owned(),
            expression: "v".to_owned(),
            operator: "<->".to_owned(),
            column: Some("v".to_owned()),
            predicate: None,
            definition: String::new(),
            reloptions: Vec::new(),
            size_bytes: 0,
            is_valid: true,
            is_ready: true,
            is_live: true,
            is_partition: false,
            persistence: 'p',
            owner: "o".to_owned(),
            being_built: false,
        }
    }

    fn facts() -> Facts {
        Facts {
            relkind: "r".to_owned(),
            is_owner: true,
            in_recovery: false,
            row_security: false,
            has_constraint: false,
            may_silence_triggers: true,
            has_triggers: false,
            has_stubborn_triggers: false,
            has_rules: false,
            is_replicated: false,
        }
    }

    fn check(facts: Facts, consents: Consents, expected: Option<&str>) {
        let settings = RepairSettings { consents, ..RepairSettings::default() };
        let found = facts.against_reinsertion(&index(), &settings);
        assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
        if let (Some(found), Some(expected)) = (found, expected) {
            assert!(found.contains(expected), "{found:?} lacks {expected:?}");
        }
    }

    #[test]
    fn reinsertion_is_refused_where_others_would_notice_it() {
        let none = Consents::default();
        check(facts(), none, None);
        check(Facts { has_triggers: true, ..facts() }, none, None);
        check(Facts { has_triggers: true, may_silence_triggers: false, ..facts() }, none, Some("triggers"));
        check(Facts { has_triggers: true, has_stubborn_triggers: true, ..facts() }, none, Some("triggers"));
        check(Facts { has_stubborn_triggers: true, ..facts() }, Consents { triggers: true, ..none }, None);
        check(Facts { is_replicated: true, ..facts() }, none, Some("logical"));
        check(Facts { is_replicated: true, ..facts() }, Consents { logical_replication: true, ..none }, None);
        check(Facts { row_security: true, ..facts() }, none, Some("row security"));
        check(Facts { relkind: "f".to_owned(), ..facts() }, none, Some("foreign"));
    }

    #[test]
    fn a_leaf_is_never_swapped() {
        let leaf = IndexDefinition { is_partition: true, ..index() };
        assert!(facts().against_rebuild(&leaf).is_some_and(|reason| reason.contains("REINDEX")));
        assert_eq!(facts().against_rebuild(&index()), None);
    }
}
