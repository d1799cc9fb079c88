use anyhow::{Context, Result, ensure};
use pgheal_test_server::{Client, execute};
use serde_json::Value;
use tokio_postgres::error::SqlState;

use crate::cases::support::{Run, SharedServer, World, lock, pgheal_with};

pub const PASSWORD: &str = "played-daemon-password";
pub const PASSWORD_VARIABLE: &str = "PGHEAL_ENDPOINT_PASSWORD";

/// Answers like the daemon where a case needs one, and misbehaves for tables of certain names.
const DAEMON: &str = r#"
CREATE SCHEMA pgheal;
CREATE TABLE pgheal.requests (request jsonb);
CREATE FUNCTION pgheal.answer(asked jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    arguments jsonb := asked->'arguments';
BEGIN
    INSERT INTO pgheal.requests VALUES (asked);
    CASE arguments->>0
        WHEN 'public.silent' THEN PERFORM pg_sleep(600);
        WHEN 'public.dies' THEN PERFORM pg_terminate_backend(pg_backend_pid());
        WHEN 'public.babbles' THEN RETURN 'no JSON';
        ELSE NULL;
    END CASE;
    CASE asked->>'function'
        WHEN 'ruvector_dag_healing_status' THEN RETURN asked;
        WHEN 'ruvector_dag_health_check' THEN RETURN jsonb_build_object('table', arguments->0);
        WHEN 'ruvector_dag_detected_issues' THEN RETURN jsonb_build_array(jsonb_build_object('issue_id', 'blind_spots-1',
            'kind', 'blind_spots', 'severity', 'high', 'index_name', 'public.docs_idx', 'evidence',
            '[{"name": "share", "value": "0.2"}]'::jsonb, 'explanation', E'it''s "so" \\',
            'detected_at', '2026-01-02T03:04:05.678Z'));
        WHEN 'ruvector_dag_repair' THEN
            IF asked->>'role' = 'reader' THEN
                RAISE EXCEPTION 'a reader may not' USING ERRCODE = '42501';
            ELSIF arguments->>1 = 'running' THEN
                RAISE EXCEPTION 'it is running' USING ERRCODE = '55006', DETAIL = 'since now', HINT = 'wait';
            END IF;
            RETURN jsonb_build_object('ticket', 7, 'message', arguments->>1);
        WHEN 'ruvector_dag_repair_history' THEN RETURN jsonb_build_array(jsonb_build_object('id', 12345678901, 'issue_id',
            'x', 'reason', arguments->>1, 'started_at', '2026-01-02T03:04:05Z', 'duration_ms', 12, 'before', '{}'::jsonb));
    END CASE;
END $$;
-- Both in hexadecimal digits.
CREATE FUNCTION pgheal.forward(request text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN encode(convert_to(pgheal.answer(convert_from(decode(request, 'hex'), 'UTF8')::jsonb), 'UTF8'), 'hex');
END $$;
"#;

/// A database with the functions, and the database that plays the daemon.
pub struct Played {
    pub world: World,
    pub daemon: Client,
    forwarder: String,
    target: String,
    port: u16,
}

impl Played {
    /// Nothing is installed yet.
    pub async fn new(world: World) -> Result<Played> {
        let name = world.database.clone();
        let (forwarder, target) = (format!("{name}_forwarder"), format!("{name}_daemon"));
        let port = lock(&world.server).port();
        world.add_password_role(&forwarder, "", PASSWORD).await?;
        world.sql(&format!("CREATE DATABASE {target}")).await?;
        let daemon = Client::connect(&world.url().replace(&format!("/{name}"), &format!("/{target}"))).await?;
        execute(&daemon, DAEMON).await?;
        execute(
            &daemon,
            &format!("GRANT USAGE ON SCHEMA pgheal TO {forwarder}; GRANT ALL ON pgheal.requests TO {forwarder}"),
        )
        .await?;
        Ok(Played { world, daemon, forwarder, target, port })
    }

    pub async fn on_shared_server(database: &str) -> Result<Played> {
        Played::new(World::new(database).await?).await
    }

    pub async fn on(server: SharedServer, database: &str) -> Result<Played> {
        Played::new(World::on(server, database, &["vector"]).await?).await
    }

    /// `pgheal install` at the played daemon.
    pub async fn install(&self, options: &[&str]) -> Result<Run> {
        self.install_at(self.port, options).await
    }

    /// The same, where nobody or somebody else listens at `port`.
    pub async fn install_at(&self, port: u16, options: &[&str]) -> Result<Run> {
        self.install_as(&self.world.url(), port, options).await
    }

    pub async fn install_as(&self, url: &str, port: u16, options: &[&str]) -> Result<Run> {
        let endpoint = format!("127.0.0.1:{port}");
        let mut arguments = vec!["install", url, "--endpoint", &endpoint];
        arguments.extend(["--user", &self.forwarder, "--target", &self.target]);
        arguments.extend(options);
        let run = pgheal_with(&arguments, &[(PASSWORD_VARIABLE, PASSWORD)]).await?;
        ensure!(!run.output().contains(PASSWORD), "the password is shown: {run:#?}");
        Ok(run)
    }

    /// A login that is in these roles, and its session.
    pub async fn login(&self, suffix: &str, roles: &str) -> Result<Client> {
        let role = format!("{}_{suffix}", self.world.database);
        self.world.sql(&format!("CREATE ROLE {role} LOGIN")).await?;
        if !roles.is_empty() {
            self.world.sql(&format!("GRANT {roles} TO {role}")).await?;
        }
        Client::connect(&self.world.url_as(&role)).await
    }

    /// How many requests reached the daemon.
    pub async fn requests(&self) -> Result<i64> {
        Ok(self.daemon.query_one("SELECT count(*) FROM pgheal.requests", &[]).await?.get(0))
    }
}

/// The JSON of a function that gives one.
pub async fn json(client: &Client, sql: &str) -> Result<Value> {
    let row = client.query_one(sql, &[]).await.with_context(|| sql.to_owned())?;
    Ok(row.get(0))
}

/// Refused with this SQLSTATE, in words that hold `said` (message, detail, hint).
#[track_caller]
pub fn refused<T>(result: std::result::Result<T, tokio_postgres::Error>, code: &str, said: &str) -> String {
    let Err(error) = result else { panic!("it was not refused, as it should be: {code} {said}") };
    let error = error.as_db_error().unwrap_or_else(|| panic!("the connection was lost: {error}"));
    let text =
        [Some(error.message()), error.detail(), error.hint()].into_iter().flatten().collect::<Vec<_>>().join("; ");
    assert_eq!(error.code(), &SqlState::from_code(code), "{text}");
    assert!(text.contains(said), "{text:?} does not say {said:?}");
    text
}
