use anyhow::Result;
use pgheal_test_server::{Client, execute};

use super::played::{PASSWORD, PASSWORD_VARIABLE, Played, json, refused};
use crate::cases::support::{World, own_server, pgheal, pgheal_with};

const STATUS: &str = "SELECT ruvector_dag_healing_status()";

/// All that is in a database and in the cluster's roles, to compare with.
const EVERYTHING: &str = "
SELECT string_agg(what, E'\n' ORDER BY what) FROM (
    SELECT 'function ' || p.oid::regprocedure || ' ' || p.proowner::regrole || ' ' || coalesce(p.proacl::text, '')
            || md5(pg_get_functiondef(p.oid)) FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
        WHERE n.nspname IN ('pgheal', 'public', 'tools') AND p.prokind = 'f'
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
    UNION ALL SELECT 'relation ' || oid::regclass || coalesce(relacl::text, '') FROM pg_class WHERE relnamespace::regnamespace::text IN ('pgheal', 'public', 'tools')
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
    UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'
    UNION ALL SELECT 'schema ' || nspname || ' ' || privilege_type || ' to ' || pg_get_userbyid(grantee)
        FROM pg_namespace, aclexplode(nspacl) WHERE nspname NOT LIKE 'pg\\_%' AND grantee <> nspowner
    UNION ALL SELECT 'extension ' || extname || extnamespace::regnamespace FROM pg_extension
    UNION ALL SELECT 'server ' || srvname || coalesce(srvacl::text, '') || coalesce(srvoptions::text, '') FROM pg_foreign_server
    UNION ALL SELECT 'mapping ' || srvname || usename FROM pg_user_mappings
    UNION ALL SELECT 'defaults ' || defaclacl::text FROM pg_default_acl
    UNION ALL SELECT 'role ' || rolname || rolsuper || rolcanlogin || rolconnlimit FROM pg_roles
    UNION ALL SELECT 'member ' || member::regrole || ' of ' || roleid::regrole FROM pg_auth_members
) AS found(what)";

/// Installed twice is installed once; uninstalled is as it was before; and no log knows a password.
#[tokio::test]
async fn again_and_back() -> Result<()> {
    let server = own_server(&[("log_statement", "all"), ("log_min_duration_statement", "0")])?;
    let played = Played::on(server.clone(), "setup_again").await?;
    let world = &played.world;
    world.sql("CREATE SCHEMA tools; CREATE ROLE setup_daemon LOGIN").await?;
    let before = world.text(EVERYTHING).await?;

    let options = ["--daemon-role", "setup_daemon"];
    played.install(&options).await?.expect(0);
    let installed = world.text(EVERYTHING).await?;
    json(&world.client, STATUS).await?;
    played.install(&options).await?.expect(0);
    same(&installed, &world.text(EVERYTHING).await?);
    json(&world.client, STATUS).await?;

    // Elsewhere: the functions move, none is left behind.
    played.install(&["--daemon-role", "setup_daemon", "--function-schema", "tools"]).await?.expect(0);
    refused(world.client.execute(STATUS, &[]).await, "42883", "does not exist");
    json(&world.client, "SELECT tools.ruvector_dag_healing_status()").await?;

    // Another database of the cluster has the same roles, and none of this one's functions.
    let other = Played::on(server, "setup_other").await?;
    other.install(&[]).await?.expect(0);
    json(&other.world.client, STATUS).await?;

    // What others made of it is not dropped with it.
    world.sql("CREATE VIEW watching AS SELECT tools.ruvector_dag_healing_status()").await?;
    let run = world.pgheal("uninstall", &[]).await?;
    run.expect(2);
    assert!(run.stderr.contains("watching") && run.stderr.contains("nothing was changed"), "{run:#?}");
    json(&world.client, "SELECT * FROM watching").await?;
    world.sql("DROP VIEW watching; CREATE ROLE person; GRANT pgheal_reader TO person").await?;

    let run = world.pgheal("uninstall", &[]).await?;
    run.expect(0);
    json(&other.world.client, STATUS).await?;
    let run = other.world.pgheal("uninstall", &[]).await?;
    run.expect(0);
    assert!(run.stdout.contains("role pgheal_reader stays: its members are person"), "{run:#?}");
    world.sql("REVOKE pgheal_reader FROM person; DROP ROLE person").await?;
    world.pgheal("uninstall", &[]).await?.expect(0);
    let after = world.text(EVERYTHING).await?;
    let after: Vec<&str> = after.lines().filter(|line| !line.contains("setup_other_forwarder")).collect();
    same(&before, &after.join("\n"));
    let run = world.pgheal("uninstall", &[]).await?;
    run.expect(0);
    assert!(run.stdout.contains("were not installed"), "{run:#?}");

    let log = world.log()?;
    for (number, line) in log.lines().enumerate() {
        let own = line.contains("CREATE ROLE setup_") || line.contains("pg_read_file");
        assert!(own || !line.contains(PASSWORD), "line {number} of the log has the password");
        assert!(!line.contains("password '"), "line {number} of the log has a password: {line}");
    }
    Ok(())
}

#[track_caller]
fn same(expected: &str, found: &str) {
    let missing: Vec<&str> = expected.lines().filter(|line| !found.lines().any(|other| other == *line)).collect();
    let added: Vec<&str> = found.lines().filter(|line| !expected.lines().any(|other| other == *line)).collect();
    assert!(missing.is_empty() && added.is_empty(), "missing: {missing:#?}\nadded: {added:#?}");
}

/// What `--print` prints does what `install` does; psql's own lines are played here.
#[tokio::test]
async fn the_printed_script_installs() -> Result<()> {
    let played = Played::on_shared_server("setup_printed").await?;
    let world = &played.world;
    let port = crate::cases::support::lock(&world.server).port();
    let endpoint = format!("127.0.0.1:{port}");
    let run = pgheal_with(
        &[
            "install",
            &world.url(),
            "--print",
            "--endpoint",
            &endpoint,
            "--user",
            "setup_printed_forwarder",
            "--target",
            "setup_printed_daemon",
        ],
        &[(PASSWORD_VARIABLE, PASSWORD)],
    )
    .await?;
    run.expect(0);
    assert!(!run.stdout.contains(PASSWORD), "the password is printed");
    assert!(run.stdout.contains(&format!("\\getenv endpoint_password {PASSWORD_VARIABLE}\n")));
    let script: Vec<&str> = run.stdout.lines().filter(|line| !line.starts_with('\\')).collect();
    execute(&world.client, &script.join("\n").replace(":'endpoint_password'", &format!("'{PASSWORD}'"))).await?;
    json(&world.client, STATUS).await?;

    let run = world.pgheal("uninstall", &["--print"]).await?;
    run.expect(0);
    json(&world.client, STATUS).await?;
    Ok(())
}

/// What stands in the way is named, and nothing is changed.
#[tokio::test]
async fn what_stands_in_the_way_is_named() -> Result<()> {
    let played = Played::on_shared_server("setup_refused").await?;
    let world = &played.world;
    let refused = async |options: &[&str], said: &str| -> Result<()> {
        let run = played.install(options).await?;
        run.expect(2);
        assert!(run.stderr.contains(said) && run.stderr.contains("nothing was changed"), "{said}: {run:#?}");
        Ok(())
    };
    refused(&["--function-schema", "nowhere"], "no schema nowhere").await?;
    refused(&["--daemon-role", "nobody\"; DROP"], "no role").await?;

    // Somebody else's schema: its owner could put other functions into the place of these.
    world.sql("CREATE ROLE setup_squatter LOGIN; CREATE SCHEMA pgheal AUTHORIZATION setup_squatter").await?;
    refused(&[], "schema pgheal belongs to setup_squatter").await?;
    world.sql("CREATE FUNCTION pgheal.call(text, jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $2'; ALTER FUNCTION pgheal.call OWNER TO setup_squatter").await?;
    refused(&["--daemon-role", "setup_squatter"], "belongs to setup_squatter").await?;
    world.sql("DROP SCHEMA pgheal CASCADE").await?;

    world.sql("CREATE FUNCTION ruvector_dag_healing_status() RETURNS int LANGUAGE sql AS 'SELECT 1'").await?;
    refused(&[], "not pgheal's").await?;
    assert_eq!(world.text("SELECT ruvector_dag_healing_status()::text").await?, "1");
    assert_eq!(world.text("SELECT count(*)::text FROM pg_namespace WHERE nspname = 'pgheal'").await?, "0");
    world.sql("DROP FUNCTION ruvector_dag_healing_status()").await?;

    played.install(&[]).await?.expect(0);
    world.sql("UPDATE pgheal.installation SET version = 1000").await?;
    refused(&[], "a newer pgheal").await?;
    world.sql("UPDATE pgheal.installation SET version = 1").await?;

    // A copy of the database must not speak for the original.
    world.sql("UPDATE pgheal.installation SET database = 'original'").await?;
    super::played::refused(world.client.execute(STATUS, &[]).await, "55000", "installed for database original");

    // Usage.
    let url = world.url();
    let run = pgheal(&["install", &url]).await?;
    run.expect(2);
    assert!(run.stderr.contains("PGHEAL_ENDPOINT_PASSWORD is not set"), "{run:#?}");
    assert_eq!(pgheal(&["install", &url, "--endpoint", "nowhere"]).await?.code, Some(2));
    assert_eq!(pgheal(&["install", &url, "--time-limit-ms", "1"]).await?.code, Some(2));
    assert_eq!(pgheal(&["install", &url, "--print", "--password-env", "a b"]).await?.code, Some(2));

    let stranger = pgheal_with(&["install", &world.url_as("setup_squatter")], &[(PASSWORD_VARIABLE, PASSWORD)]).await?;
    stranger.expect(2);
    assert!(stranger.stderr.contains("permission denied") || stranger.stderr.contains("belongs to"), "{stranger:#?}");
    Ok(())
}

/// The daemon's role makes its tables in schema pgheal, also where it made the schema itself; what superusers call there
/// it can neither drop nor put something in front of.
#[tokio::test]
async fn the_daemons_role_cannot_replace_what_others_call() -> Result<()> {
    let played = Played::on_shared_server("setup_owner").await?;
    let world = &played.world;
    world.sql("CREATE ROLE setup_owner_daemon LOGIN; CREATE SCHEMA pgheal AUTHORIZATION setup_owner_daemon").await?;
    let daemon = Client::connect(&world.url_as("setup_owner_daemon")).await?;
    execute(&daemon, "CREATE TABLE pgheal.mine (who text); GRANT ALL ON pgheal.mine TO PUBLIC").await?;
    played.install(&["--daemon-role", "setup_owner_daemon"]).await?.expect(0);
    for sql in [
        "DROP FUNCTION pgheal.call(text, jsonb) CASCADE",
        "DROP SCHEMA pgheal CASCADE",
        "ALTER FUNCTION pgheal.call(text, jsonb) RENAME TO other",
        "CREATE OR REPLACE FUNCTION pgheal.call(asked text, arguments jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $2'",
        "GRANT EXECUTE ON FUNCTION pgheal.forward_as_admin(text, jsonb) TO PUBLIC; SELECT pgheal.forward_as_admin('', '[]')",
    ] {
        let error = daemon.batch_execute(sql).await.err();
        let code = error.as_ref().and_then(|error| error.code()).map(|code| code.code().to_owned());
        assert_eq!(code.as_deref(), Some("42501"), "{sql}: {error:?}");
    }
    for arguments in ["varchar, jsonb", "anyelement, jsonb", "name, jsonb", "text, json", "text, VARIADIC jsonb[]"] {
        let sql = format!(
            "CREATE FUNCTION pgheal.call({arguments}) RETURNS jsonb LANGUAGE sql AS \
             'INSERT INTO pgheal.mine VALUES (current_user); SELECT ''{{}}''::jsonb'"
        );
        execute(&daemon, &sql).await?;
    }
    execute(&daemon, "CREATE TABLE pgheal.another ()").await?;
    json(&world.client, STATUS).await?;
    assert_eq!(world.text("SELECT count(*)::text FROM pgheal.mine").await?, "0");
    Ok(())
}

/// Where nobody is a superuser: an administrator with CREATEROLE and CREATE, a server that asks for passwords.
#[tokio::test]
async fn an_administrator_of_a_managed_server_installs() -> Result<()> {
    let server = own_server(&[])?;
    let world = World::on(server, "setup_managed", &["vector", "dblink"]).await?;
    let played = Played::new(world).await?;
    let world = &played.world;
    world
        .sql(
            "CREATE ROLE setup_admin LOGIN CREATEROLE; CREATE ROLE setup_daemon LOGIN; CREATE ROLE setup_person LOGIN;
             GRANT setup_daemon TO setup_admin; GRANT pg_read_all_stats TO setup_admin WITH ADMIN OPTION;
             ALTER DATABASE setup_managed OWNER TO setup_admin;
             GRANT USAGE ON FOREIGN DATA WRAPPER dblink_fdw TO setup_admin",
        )
        .await?;
    // A managed server asks everybody for a password, which is what lets its own sessions in for a role without superuser.
    let data = crate::cases::support::lock(&world.server).data_directory();
    let rules = data.join("pg_hba.conf");
    let text = std::fs::read_to_string(&rules)?;
    std::fs::write(&rules, format!("host all /^pgheal_hop_ 127.0.0.1/32 scram-sha-256\n{text}"))?;
    world.sql("SELECT pg_reload_conf()").await?;

    let port = crate::cases::support::lock(&world.server).port();
    let run = played.install_as(&world.url_as("setup_admin"), port, &["--daemon-role", "setup_daemon"]).await?;
    run.expect(0);
    assert!(run.stdout.contains("no page reader"), "{run:#?}");
    assert!(run.stdout.contains("The daemon answers"), "{run:#?}");
    let admin = Client::connect(&world.url_as("setup_admin")).await?;
    execute(&admin, "GRANT pgheal_reader TO setup_person").await?;
    let person = Client::connect(&world.url_as("setup_person")).await?;
    assert_eq!(json(&person, STATUS).await?["caller"], "setup_person");
    refused(person.execute("SELECT ruvector_dag_repair('pg_class', 'x')", &[]).await, "42501", "may not ask");
    assert_eq!(
        world
            .text(
                "SELECT count(*)::text FROM pg_proc AS p JOIN pg_roles AS r ON r.oid = p.proowner \
        WHERE p.prosecdef AND r.rolsuper AND p.pronamespace = 'pgheal'::regnamespace"
            )
            .await?,
        "0"
    );

    execute(&admin, "REVOKE pgheal_reader FROM setup_person").await?;
    let run = pgheal(&["uninstall", &world.url_as("setup_admin")]).await?;
    run.expect(0);
    assert_eq!(world.text("SELECT count(*)::text FROM pg_roles WHERE rolname LIKE 'pgheal%'").await?, "0");
    Ok(())
}
