use tokio_postgres::{Client, GenericClient};

use super::JournalError;
use crate::postgres::locks::{LOCK_CLASS, MIGRATION};

/// Each runs once, in order; a released one is never edited.
const MIGRATIONS: [&str; 2] = [VERSION_1, VERSION_2];

const VERSION_1: &str = "
CREATE TABLE pgheal.repairs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    issue_id    text NOT NULL,
    issue_kind  text NOT NULL,
    index_name  text,
    strategy    text NOT NULL,
    digest      text NOT NULL,
    agenda      jsonb NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    rolling_back boolean NOT NULL DEFAULT false,
    outcome     text CHECK (outcome IN ('healed', 'rolled_back', 'rollback_failed', 'inconclusive')),
    result      jsonb,
    reason      text NOT NULL DEFAULT '',
    before      jsonb NOT NULL,
    after       jsonb NOT NULL DEFAULT 'null'
);
COMMENT ON TABLE pgheal.repairs IS 'every repair, with the measurements that its verdict rests on';
CREATE INDEX repairs_started_at ON pgheal.repairs (started_at);

CREATE TABLE pgheal.journal (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repair_id     bigint NOT NULL REFERENCES pgheal.repairs ON DELETE CASCADE,
    seq           integer NOT NULL,
    action        jsonb NOT NULL,
    undo          jsonb NOT NULL,
    state         text NOT NULL CHECK (state IN ('intended', 'done', 'undone', 'failed')),
    object_name   text,
    object_oid    oid,
    backend_pid   integer,
    backend_start timestamptz,
    note          text NOT NULL DEFAULT '',
    intended_at   timestamptz NOT NULL DEFAULT now(),
    ended_at      timestamptz,
    UNIQUE (repair_id, seq)
);
COMMENT ON TABLE pgheal.journal IS 'every step of a repair, written with its undo before it happened';

CREATE TABLE pgheal.metrics (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    metrics  jsonb NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE pgheal.metrics IS 'the counters of the healing loop';

CREATE TABLE pgheal.kept_indexes (
    step_id       bigint PRIMARY KEY REFERENCES pgheal.journal ON DELETE RESTRICT,
    repair_id     bigint NOT NULL REFERENCES pgheal.repairs ON DELETE RESTRICT,
    index_oid     oid NOT NULL,
    schema_name   text NOT NULL,
    kept_name     text NOT NULL,
    original_name text NOT NULL,
    kept_since    timestamptz NOT NULL DEFAULT now(),
    keep_until    timestamptz NOT NULL,
    gone_at       timestamptz
);
COMMENT ON TABLE pgheal.kept_indexes IS 'replaced indexes, kept until their rollback window ends';
";

const VERSION_2: &str = "
CREATE TABLE pgheal.requests (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    requested_at timestamptz NOT NULL DEFAULT now(),
    caller       text NOT NULL,
    caller_role  text NOT NULL,
    table_name   text NOT NULL,
    index_name   text NOT NULL,
    issue_id     text NOT NULL,
    state        text NOT NULL DEFAULT 'accepted' CHECK (state IN ('accepted', 'ended', 'abandoned')),
    repairs      bigint[] NOT NULL DEFAULT '{}',
    answer       text NOT NULL DEFAULT '',
    ended_at     timestamptz
);
COMMENT ON TABLE pgheal.requests IS 'repairs that somebody asked for, and what became of them';
";

/// The SQL functions tell when a daemon that is gone was last seen. `pgheal install` grants them that where the tables are
/// there before the functions.
const LET_FUNCTIONS_SEE: &str = "
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pgheal_functions')
            AND NOT pg_catalog.has_table_privilege('pgheal_functions', 'pgheal.metrics', 'SELECT') THEN
        GRANT SELECT ON pgheal.metrics TO pgheal_functions;
    END IF;
END
$$";

/// Creates or migrates the schema in one transaction, alone.
pub async fn migrate(client: &mut Client) -> Result<(), JournalError> {
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1, $2)", &[&LOCK_CLASS, &MIGRATION]).await?;
    if !exists_trusted(&transaction).await? {
        transaction.batch_execute("CREATE SCHEMA IF NOT EXISTS pgheal").await?;
    }
    transaction
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS pgheal.migrations (
                 version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
        )
        .await?;
    let found: i32 =
        transaction.query_one("SELECT coalesce(max(version), 0) FROM pgheal.migrations", &[]).await?.get(0);
    let known = MIGRATIONS.len() as i32;
    if found > known {
        return Err(JournalError::NewerSchema { found, known });
    }
    for version in found + 1..=known {
        transaction.batch_execute(MIGRATIONS[version as usize - 1]).await?;
        transaction.execute("INSERT INTO pgheal.migrations (version) VALUES ($1)", &[&version]).await?;
    }
    transaction.batch_execute(LET_FUNCTIONS_SEE).await?;
    transaction.commit().await?;
    Ok(())
}

/// Whether this database has a journal that can be read.
pub async fn exists(client: &Client) -> Result<bool, JournalError> {
    if !exists_trusted(client).await? {
        return Ok(false);
    }
    Ok(client.query_one("SELECT to_regclass('pgheal.kept_indexes') IS NOT NULL", &[]).await?.get(0))
}

/// Somebody else's tables could be views, or carry triggers, that run with our privileges; a superuser is a member
/// of every role, so membership is no trust there.
async fn exists_trusted(client: &impl GenericClient) -> Result<bool, JournalError> {
    let owner = client
        .query_opt(
            "SELECT o.rolname, o.rolsuper OR o.rolname = current_user
                    OR (NOT u.rolsuper AND pg_has_role(n.nspowner, 'MEMBER'))
               FROM pg_namespace AS n JOIN pg_roles AS o ON o.oid = n.nspowner
                    JOIN pg_roles AS u ON u.rolname = current_user
              WHERE n.nspname = 'pgheal'",
            &[],
        )
        .await?;
    match owner {
        Some(row) if !row.get::<_, bool>(1) => Err(JournalError::ForeignSchema(row.get(0))),
        Some(_) => Ok(true),
        None => Ok(false),
    }
}
