use anyhow::Result;
use pgheal_test_server::execute;
use tokio_postgres::types::Type;

use super::played::{Played, json, refused};
use crate::cases::support::own_server;

#[tokio::test]
async fn the_five_functions_forward_and_have_types() -> Result<()> {
    let played = Played::on_shared_server("install_functions").await?;
    played.world.sql("CREATE TABLE docs (id int); CREATE ROLE install_functions_other").await?;
    let run = played.install(&[]).await?;
    run.expect(0);
    assert!(run.stdout.contains("The daemon answers"), "{run:#?}");
    let operator = played.login("op", "pgheal_operator").await?;

    let status = json(&operator, "SELECT ruvector_dag_healing_status()").await?;
    assert_eq!(status["caller"], "install_functions_op");
    assert_eq!(status["role"], "operator");
    assert_eq!(status["arguments"], serde_json::json!([]));
    assert_eq!(status["settings"], serde_json::json!({}));
    assert_eq!(json(&operator, "SELECT ruvector_dag_health_check('docs')").await?["table"], "public.docs");
    let ticket = json(&operator, r#"SELECT ruvector_dag_repair('docs', 'it''s "so" \ {}')"#).await?;
    assert_eq!(ticket, serde_json::json!({"ticket": 7, "message": r#"it's "so" \ {}"#}));

    let statement = operator.prepare("SELECT * FROM ruvector_dag_detected_issues($1)").await?;
    let types: Vec<&Type> = statement.columns().iter().map(|column| column.type_()).collect();
    let text = &Type::TEXT;
    assert_eq!(types, [text, text, text, text, &Type::JSONB, text, &Type::TIMESTAMPTZ]);
    let rows = operator.query(&statement, &[&"docs"]).await?;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<_, String>("explanation"), r#"it's "so" \"#);
    assert_eq!(rows[0].get::<_, serde_json::Value>("evidence")[0]["value"], "0.2");

    let statement = operator.prepare("SELECT * FROM ruvector_dag_repair_history($1, $2)").await?;
    let columns: Vec<&str> = statement.columns().iter().map(|column| column.name()).collect();
    let expected = "id issue_id issue_kind index_name strategy digest outcome reason started_at finished_at duration_ms \
                    result before after";
    assert_eq!(columns.join(" "), expected);
    let rows = operator.query(&statement, &[&"docs", &30]).await?;
    assert_eq!(rows[0].get::<_, i64>("id"), 12_345_678_901);
    assert_eq!(rows[0].get::<_, String>("reason"), "30");
    let started: String =
        operator.query_one("SELECT started_at::text FROM ruvector_dag_repair_history('docs')", &[]).await?.get(0);
    assert_eq!(started, "2026-01-02 03:04:05+00");

    // The daemon's refusals arrive as they are.
    let told =
        refused(operator.execute("SELECT ruvector_dag_repair('docs', 'running')", &[]).await, "55006", "it is running");
    assert!(told.contains("since now") && told.contains("wait"), "{told}");
    for (sql, code, said) in [
        ("SELECT ruvector_dag_health_check('nowhere')", "42704", "there is no table nowhere"),
        ("SELECT ruvector_dag_health_check(NULL)", "22004", "missing"),
        ("SELECT ruvector_dag_repair('docs', '')", "22004", "missing"),
        ("SELECT ruvector_dag_repair('docs', repeat('x', 5000))", "22023", "too long"),
        ("SELECT * FROM ruvector_dag_repair_history('docs', 0)", "22023", "from 1 to 36500"),
    ] {
        refused(operator.execute(sql, &[]).await, code, said);
    }
    Ok(())
}

#[tokio::test]
async fn roles_decide_and_nobody_says_who_he_is() -> Result<()> {
    let played = Played::on_shared_server("install_roles").await?;
    played.world.sql("CREATE TABLE docs (id int)").await?;
    played.install(&[]).await?.expect(0);
    let stranger = played.login("stranger", "").await?;
    let reader = played.login("reader", "pgheal_reader").await?;
    let operator = played.login("op", "pgheal_operator").await?;
    let admin = played.login("admin", "pgheal_admin").await?;

    refused(stranger.execute("SELECT ruvector_dag_healing_status()", &[]).await, "42501", "permission denied");
    refused(stranger.execute("SELECT pgheal.ruvector_dag_healing_status()", &[]).await, "42501", "permission denied");
    let told = refused(
        reader.execute("SELECT ruvector_dag_repair('docs', 'x')", &[]).await,
        "42501",
        "may not ask for repairs",
    );
    assert!(told.contains("GRANT pgheal_operator TO install_roles_reader"), "{told}");
    assert_eq!(json(&admin, "SELECT ruvector_dag_healing_status()").await?["role"], "admin");

    // The internals are closed to all: neither another role nor another caller can be said.
    for sql in [
        "SELECT pgheal.forward_as_operator('ruvector_dag_repair', '[\"docs\", \"x\"]')",
        "SELECT pgheal.forward_as_admin('ruvector_dag_repair', '[\"docs\", \"x\"]')",
        "SELECT pgheal.call_hop('admin', 'ruvector_dag_repair', '[\"docs\", \"x\"]')",
        "SELECT pgheal.ask_daemon('{}', 'forged')",
        "SELECT pgheal.proof_of('{}')",
        "SELECT pgheal.link_open_daemon()",
        "SELECT * FROM pgheal.installation",
        "SELECT pgheal.dblink_connect('x', 'pgheal_daemon')",
        "SET ROLE pgheal_functions",
    ] {
        refused(reader.execute(sql, &[]).await, "42501", "permission denied");
    }
    // What it may call directly says its own role, which the daemon refuses.
    let direct = "SELECT pgheal.forward_as_reader('ruvector_dag_repair', '[\"docs\", \"x\"]')";
    refused(reader.execute(direct, &[]).await, "42501", "a reader may not");
    refused(
        reader.execute("SELECT pgheal.forward_as_reader('pg_sleep', '[9]')", &[]).await,
        "42883",
        "no such function",
    );

    // A role that is given up is given up; one that is taken is told.
    execute(&operator, "SET ROLE pgheal_reader").await?;
    refused(operator.execute("SELECT ruvector_dag_repair('docs', 'x')", &[]).await, "42501", "may not ask");
    let status = json(&operator, "SELECT ruvector_dag_healing_status()").await?;
    assert_eq!(status["caller"], "install_roles_op as pgheal_reader");
    assert_eq!(status["role"], "reader");

    // The second session's login is worth nothing by itself, and no password can be read.
    let hop =
        played.world.text("SELECT 'pgheal_hop_' || oid FROM pg_database WHERE datname = current_database()").await?;
    let session = pgheal_test_server::Client::connect(&played.world.url_as(&hop)).await?;
    let request = "SELECT pgheal.ask_daemon('{\"database\": \"install_roles\"}', repeat('0', 64))";
    refused(session.execute(request, &[]).await, "42501", "not made by the functions");
    for (client, name) in [(&admin, "admin"), (&session, "hop")] {
        let shown: i64 =
            client.query_one("SELECT count(*) FROM pg_user_mappings WHERE umoptions IS NOT NULL", &[]).await?.get(0);
        assert_eq!(shown, 0, "{name}");
    }
    let sources = played.world.text("SELECT string_agg(prosrc, '') FROM pg_proc WHERE prosrc IS NOT NULL").await?;
    assert!(!sources.contains(super::played::PASSWORD));
    Ok(())
}

#[tokio::test]
async fn settings_travel_and_bad_ones_are_refused() -> Result<()> {
    let played = Played::on_shared_server("install_settings").await?;
    played.install(&[]).await?.expect(0);
    let reader = played.login("reader", "pgheal_reader").await?;
    let check = async |settings: &str, expected: serde_json::Value| -> Result<()> {
        execute(&reader, settings).await?;
        let status = json(&reader, "SELECT ruvector_dag_healing_status()").await?;
        assert_eq!(status["settings"], expected, "{settings}");
        Ok(())
    };
    check("SET ruvector.dag_healing_enabled = 'yes'", serde_json::json!({"ruvector.dag_healing_enabled": "on"}))
        .await?;
    check("SET ruvector.dag_healing_enabled = ''", serde_json::json!({})).await?;
    check(
        "SET ruvector.dag_healing_interval_ms = ' 60000 '; SET ruvector.dag_healing_threshold = 0.25",
        serde_json::json!({"ruvector.dag_healing_interval_ms": "60000", "ruvector.dag_healing_threshold": "0.25"}),
    )
    .await?;
    execute(&reader, "RESET ruvector.dag_healing_interval_ms; RESET ruvector.dag_healing_threshold").await?;
    execute(&reader, "BEGIN; SET LOCAL ruvector.dag_healing_threshold = 0.5; COMMIT").await?;
    check("SELECT", serde_json::json!({})).await?;

    let before = played.requests().await?;
    for (name, value, range) in [
        ("enabled", "perhaps", "on or off"),
        ("interval_ms", "999", "from 1000 to 86400000"),
        ("interval_ms", "99999999999999999999", "from 1000 to 86400000"),
        ("interval_ms", "5 min", "from 1000 to 86400000"),
        ("threshold", "0", "above 0 and up to 1"),
        ("threshold", "NaN", "above 0 and up to 1"),
        ("threshold", "'; DROP TABLE docs; --", "above 0 and up to 1"),
    ] {
        execute(&reader, &format!("SET ruvector.dag_healing_{name} = '{}'", value.replace('\'', "''"))).await?;
        let told = refused(reader.execute("SELECT ruvector_dag_healing_status()", &[]).await, "22023", range);
        assert!(told.contains(&format!("ruvector.dag_healing_{name}")), "{told}");
        execute(&reader, &format!("RESET ruvector.dag_healing_{name}")).await?;
    }
    assert_eq!(played.requests().await?, before, "the daemon was asked in spite of a bad setting");

    // The database's own values are the daemon's to read: sessions do not repeat them, not even bad ones.
    played
        .world
        .sql("ALTER DATABASE install_settings SET ruvector.dag_healing_interval_ms = '7000'; ALTER DATABASE install_settings SET ruvector.dag_healing_threshold = 'bad'")
        .await?;
    let fresh = pgheal_test_server::Client::connect(&played.world.url_as("install_settings_reader")).await?;
    let status = json(&fresh, "SELECT ruvector_dag_healing_status()").await?;
    assert_eq!(status["settings"], serde_json::json!({}));
    execute(&fresh, "SET ruvector.dag_healing_interval_ms = '8000'").await?;
    let status = json(&fresh, "SELECT ruvector_dag_healing_status()").await?;
    assert_eq!(status["settings"], serde_json::json!({"ruvector.dag_healing_interval_ms": "8000"}));
    Ok(())
}

/// Each name arrives as the table that it means in the caller's session, and none of them runs anything.
#[tokio::test]
async fn names_mean_what_they_mean_to_the_caller() -> Result<()> {
    let played = Played::on_shared_server("install_names").await?;
    played.install(&[]).await?.expect(0);
    played
        .world
        .sql(
            r#"CREATE TABLE docs (id int); INSERT INTO docs VALUES (1);
            CREATE SCHEMA "we;ird ""s"; CREATE TABLE "we;ird ""s"."t'); DROP TABLE docs; --" (id int);
            CREATE TABLE "My Table" (id int); CREATE TABLE "Dotted.Name" (id int);
            CREATE TABLE parted (id int) PARTITION BY RANGE (id); CREATE MATERIALIZED VIEW seen AS SELECT 1;
            CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE a.twin (); CREATE TABLE b.twin (); CREATE TABLE a.hidden ();
            CREATE INDEX docs_id ON docs (id)"#,
        )
        .await?;
    // In no schema of the caller's: monitoring needs no right on what it watches.
    let reader = played.login("reader", "pgheal_reader").await?;
    let hostile = r#""we;ird ""s"."t'); DROP TABLE docs; --""#;
    for (name, expected) in [
        ("docs", "public.docs"),
        ("DOCS", "public.docs"),
        ("public.docs", "public.docs"),
        ("install_names.public.docs", "public.docs"),
        (" \"docs\" ", "public.docs"),
        ("My Table", "public.\"My Table\""),
        ("\"My Table\"", "public.\"My Table\""),
        ("Dotted.Name", "public.\"Dotted.Name\""),
        ("parted", "public.parted"),
        ("seen", "public.seen"),
        ("a.hidden", "a.hidden"),
        ("hidden", "a.hidden"),
        (hostile, hostile),
        ("t'); DROP TABLE docs; --", hostile),
    ] {
        let row = reader.query_one("SELECT ruvector_dag_health_check($1)", &[&name]).await?;
        assert_eq!(row.get::<_, serde_json::Value>(0)["table"], expected, "{name}");
    }
    for (name, code, said) in [
        ("twin", "42P09", "2 tables"),
        ("docs_id", "42809", "is no table"),
        ("docs'; DROP TABLE docs; --", "42704", "there is no table"),
        ("docs\"; DROP TABLE docs; --", "42704", "there is no table"),
        ("docs\\'; DROP TABLE docs; --", "42704", "there is no table"),
        ("other_database.public.docs", "42704", "there is no table"),
        ("", "22004", "missing"),
    ] {
        refused(reader.execute("SELECT ruvector_dag_health_check($1)", &[&name]).await, code, said);
    }
    execute(&played.world.client, "SET search_path = b, public").await?;
    assert_eq!(json(&played.world.client, "SELECT ruvector_dag_health_check('twin')").await?["table"], "b.twin");
    assert_eq!(played.world.text("SELECT count(*)::text FROM docs").await?, "1");
    Ok(())
}

/// Functions, operators, types and tables that lie in wait in the search path, for callers of every right.
#[tokio::test]
async fn a_search_path_leads_nowhere_else() -> Result<()> {
    let played = Played::on_shared_server("install_path").await?;
    played.world.sql("CREATE TABLE docs (id int)").await?;
    played.install(&[]).await?.expect(0);
    let attacker = played.login("attacker", "pgheal_reader").await?;
    played.world.sql("CREATE SCHEMA evil AUTHORIZATION install_path_attacker").await?;
    execute(
        &attacker,
        r#"CREATE TABLE evil.caught (who text);
        CREATE FUNCTION evil.caught() RETURNS void LANGUAGE sql AS 'INSERT INTO evil.caught VALUES (current_user)';
        CREATE FUNCTION evil.length(text) RETURNS int LANGUAGE sql AS 'SELECT evil.caught(); SELECT 1';
        CREATE FUNCTION evil.current_setting(text, boolean) RETURNS text LANGUAGE sql AS 'SELECT evil.caught(); SELECT ''x''::pg_catalog.text';
        CREATE FUNCTION evil.current_database() RETURNS name LANGUAGE sql AS 'SELECT evil.caught(); SELECT ''x''::name';
        CREATE FUNCTION evil.parse_ident(text) RETURNS text[] LANGUAGE sql AS 'SELECT evil.caught(); SELECT array[''x'']';
        CREATE FUNCTION evil.has_function_privilege(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT evil.caught(); SELECT true';
        CREATE FUNCTION evil.format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS 'SELECT evil.caught(); SELECT ''x''::pg_catalog.text';
        CREATE FUNCTION evil.equal(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT evil.caught(); SELECT true';
        CREATE FUNCTION evil.equal(name, text) RETURNS boolean LANGUAGE sql AS 'SELECT evil.caught(); SELECT true';
        CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.equal);
        CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = text, FUNCTION = evil.equal);
        CREATE FUNCTION evil.dblink_connect_u(text, text) RETURNS text LANGUAGE sql AS 'SELECT evil.caught(); SELECT ''OK''::pg_catalog.text';
        CREATE DOMAIN evil.text AS pg_catalog.int4; CREATE DOMAIN evil.jsonb AS pg_catalog.int4; CREATE DOMAIN evil.timestamptz AS pg_catalog.int4;
        CREATE TABLE evil.pg_class (x int); CREATE TABLE evil.pg_namespace (x int);
        GRANT ALL ON SCHEMA evil TO PUBLIC; GRANT ALL ON evil.caught TO PUBLIC"#,
    )
    .await?;
    for client in [&played.world.client, &attacker] {
        execute(client, "CREATE TEMP TABLE pg_class (x int); CREATE TEMP TABLE pg_am (x int)").await?;
        execute(client, "SET search_path = evil, pg_temp, pg_catalog, public").await?;
        assert_eq!(json(client, "SELECT public.ruvector_dag_health_check('docs')").await?["table"], "public.docs");
        json(client, "SELECT public.ruvector_dag_healing_status()").await?;
        client.execute("SELECT issue_id FROM public.ruvector_dag_detected_issues('docs')", &[]).await?;
        client.execute("SELECT id FROM public.ruvector_dag_repair_history('docs', 3)", &[]).await?;
    }
    json(&played.world.client, "SELECT public.ruvector_dag_repair('docs', 'x')").await?;
    assert_eq!(played.world.text("SELECT pg_catalog.count(*)::pg_catalog.text FROM evil.caught").await?, "0");
    Ok(())
}

/// Whatever the session, or the database for all sessions, sets: what travels and what arrives is the same.
#[tokio::test]
async fn settings_of_the_session_change_no_value() -> Result<()> {
    let played = Played::on_shared_server("install_session").await?;
    played.world.sql("CREATE TABLE docs (id int)").await?;
    played.install(&[]).await?.expect(0);
    let all = [
        ("DateStyle", "German"),
        ("IntervalStyle", "sql_standard"),
        ("TimeZone", "America/New_York"),
        ("bytea_output", "escape"),
        ("extra_float_digits", "-15"),
        ("standard_conforming_strings", "off"),
        ("escape_string_warning", "off"),
        ("backslash_quote", "off"),
        ("transform_null_equals", "on"),
        ("default_transaction_isolation", "serializable"),
        ("default_transaction_read_only", "on"),
        ("row_security", "off"),
        ("search_path", "pg_temp"),
    ];
    let operator = played.login("op", "pgheal_operator").await?;
    for (name, value) in all {
        execute(&operator, &format!("SET {name} = '{value}'")).await?;
    }
    values_are_right(&operator).await?;
    for (name, value) in all {
        played.world.sql(&format!("ALTER DATABASE install_session SET {name} = '{value}'")).await?;
    }
    values_are_right(&pgheal_test_server::Client::connect(&played.world.url_as("install_session_op")).await?).await
}

async fn values_are_right(client: &pgheal_test_server::Client) -> Result<()> {
    assert_eq!(client.query_one("SELECT 0.26::float8::text", &[]).await?.get::<_, &str>(0), "0.3");
    // 2026-01-02 03:04:05 in UTC.
    let started = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_767_323_045);
    let history = "SELECT id, started_at FROM public.ruvector_dag_repair_history($1, 30)";
    let row = client.query_one(history, &[&"public.docs"]).await?;
    assert_eq!((row.get::<_, i64>(0), row.get::<_, std::time::SystemTime>(1)), (12_345_678_901, started));
    let shown = client.query_one(&format!("SELECT started_at::text FROM ({history}) AS h"), &[&"public.docs"]).await?;
    assert_eq!(shown.get::<_, &str>(0), "01.01.2026 22:04:05 EST");
    let issues = "SELECT * FROM public.ruvector_dag_detected_issues('public.docs')";
    let row = client.query_one(issues, &[]).await?;
    assert_eq!(row.get::<_, &str>("explanation"), r#"it's "so" \"#);
    assert_eq!(row.get::<_, serde_json::Value>("evidence")[0]["value"], "0.2");
    let issue = r#"it's "so" \' \\ {}"#;
    let row = client.query_one("SELECT public.ruvector_dag_repair('public.docs', $1)", &[&issue]).await?;
    assert_eq!(row.get::<_, serde_json::Value>(0)["message"], issue);
    execute(client, "SET ruvector.dag_healing_threshold = 0.260000001").await?;
    let status = json(client, "SELECT public.ruvector_dag_healing_status()").await?;
    assert_eq!(status["settings"], serde_json::json!({"ruvector.dag_healing_threshold": "0.260000001"}));
    Ok(())
}

#[tokio::test]
async fn locks_of_the_calling_transaction_do_not_matter() -> Result<()> {
    // Whoever waits for a lock on pg_authid keeps everybody from logging in.
    let played = Played::on(own_server(&[])?, "install_locks").await?;
    played.world.sql("CREATE TABLE docs (id int); CREATE INDEX docs_idx ON docs (id)").await?;
    played.install(&[]).await?.expect(0);
    let client = &played.world.client;
    execute(
        client,
        "BEGIN; LOCK TABLE docs IN ACCESS EXCLUSIVE MODE; REINDEX TABLE docs; ALTER TABLE docs ADD COLUMN x int",
    )
    .await?;
    let began = std::time::Instant::now();
    assert_eq!(json(client, "SELECT ruvector_dag_health_check('docs')").await?["table"], "public.docs");
    assert_eq!(json(client, "SELECT ruvector_dag_repair('docs', 'x')").await?["ticket"], 7);
    client.execute("SELECT * FROM ruvector_dag_detected_issues('docs')", &[]).await?;
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    execute(client, "COMMIT; BEGIN READ ONLY").await?;
    json(client, "SELECT ruvector_dag_healing_status()").await?;
    // Where no session can start, that is said at once instead of being waited for.
    execute(client, "COMMIT; BEGIN; LOCK TABLE pg_catalog.pg_authid IN ACCESS EXCLUSIVE MODE").await?;
    refused(client.execute("SELECT ruvector_dag_healing_status()", &[]).await, "55006", "has locked pg_authid");
    execute(client, "ROLLBACK").await?;
    Ok(())
}
