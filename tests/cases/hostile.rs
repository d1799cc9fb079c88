//! A strategy that attacks the database it is let into: each attempt is refused by name, and nothing of it is left.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use super::support::{Run, SICK_OPTIONS, World, fill_table, grouped_rows, indexes_of};

/// Statements that try to leave the transaction, the role, the session or the database, and what each is answered.
const ESCAPES: &[(&str, &str)] = &[
    ("COMMIT", "refused: COMMIT"),
    ("ROLLBACK", "refused: ROLLBACK"),
    ("SET ROLE postgres", "refused: SET"),
    ("RESET ROLE", "refused: "),
    ("SET TRANSACTION READ WRITE", "refused: SET"),
    ("SET statement_timeout = 0", "refused: SET"),
    ("SELECT 1; DELETE FROM prey", "one statement a call; this text has 2"),
    ("COPY prey TO PROGRAM 'touch /tmp/pgheal-hostile'", "refused: COPY"),
    ("DO $$ BEGIN DELETE FROM prey; END $$", "cannot be checked, so it is refused"),
    ("LISTEN hostile", "refused: LISTEN"),
    ("PREPARE leftover AS SELECT 1", "refused: PREPARE"),
    ("CREATE TEMP TABLE leftover (a int)", "refused: CREATE"),
    ("SELECT 1 AS a INTO TEMP leftover", "refused: SELECT"),
    ("ALTER ROLE hostile_guest SUPERUSER", "refused: ALTER"),
    ("SELECT set_config('role', 'postgres', false)", "permission denied"),
    ("SELECT pg_read_file('/etc/passwd')", "permission denied"),
    ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'", "permission denied"),
    ("SELECT dblink_exec('dbname=postgres user=postgres', 'DROP TABLE prey')", "PostgreSQL ("),
    ("SELECT * FROM pgheal.repairs", "permission denied"),
    ("UPDATE docs SET note = 'taken'", "permission denied"),
];

/// These are allowed and must leave nothing.
const LEFTOVERS: &[&str] = &[
    "SELECT pg_advisory_lock(4711)",
    "SELECT set_config('work_mem', '1MB', false)",
    "SELECT set_config('statement_timeout', '0', false)",
    "SELECT nextval('prey_id_seq')",
    "DELETE FROM prey",
    "SELECT * FROM prey FOR UPDATE",
];

async fn world(name: &str, actions: &str) -> Result<(World, String)> {
    let world = World::new(name).await?;
    fill_table(&world, "docs", &grouped_rows(1_500, 1)).await?;
    world
        .sql(&format!(
            "CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) {SICK_OPTIONS};
             CREATE EXTENSION dblink;
             CREATE TABLE prey (id serial PRIMARY KEY); INSERT INTO prey SELECT FROM generate_series(1, 10);
             CREATE ROLE {name}_guest LOGIN;
             GRANT SELECT, UPDATE, DELETE ON prey TO {name}_guest; GRANT USAGE ON prey_id_seq TO {name}_guest;
             GRANT SELECT ON docs TO {name}_guest"
        ))
        .await?;
    let config = format!(
        "[policy.hostile]\n[policy.hostile.grant]\nsql_role = \"{name}_guest\"\nsql_write = true\nactions = [{actions}]\n\
         [policy.hostile.limits]\nrepair_cpu_time_ms = 1000\n[policy.hostile.settings]\n"
    );
    Ok((world, config))
}

/// A directory with the hostile strategy and the default prioritizer only.
fn policies(name: &str) -> Result<PathBuf> {
    let built = std::env::var_os("PGHEAL_POLICIES_DIR")
        .map_or_else(|| super::support::workspace().join("target/policies"), PathBuf::from);
    let dir = std::env::temp_dir().join(format!("pgheal-hostile-{name}-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    for file in [built.join("prioritizer_default.wasm"), built.join("../test-policies/hostile.wasm")] {
        let target = dir.join(file.file_name().context("a file")?);
        fs::copy(&file, target).with_context(|| format!("{}: cargo xtask guests", file.display()))?;
    }
    Ok(dir)
}

async fn heal(world: &World, config: &str, settings: &str) -> Result<Run> {
    let dir = policies(&world.database)?;
    let options = ["--once", "--json", "--policies", dir.to_str().context("a plain path")?];
    let run = world.pgheal_configured("heal", &format!("{config}{settings}"), &options).await?;
    fs::remove_dir_all(&dir)?;
    assert!(!run.stderr.contains("panicked at host"), "{run:#?}");
    Ok(run)
}

/// No session, transaction, lock, temporary object or setting is left, and no row has changed.
async fn nothing_is_left(world: &World) -> Result<()> {
    let check = async |what: &str, sql: &str, expected: &str| -> Result<()> {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            let found = world.text(sql).await?;
            if found == expected {
                return Ok(());
            }
            // A closed session takes a moment to go away.
            anyhow::ensure!(std::time::Instant::now() < deadline, "{what}: {found}, expected {expected}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let database = &world.database;
    check(
        "sessions",
        &format!(
            "SELECT count(*)::text FROM pg_stat_activity WHERE usename = '{database}_guest' OR \
                  (datname = '{database}' AND application_name LIKE 'pgheal%')"
        ),
        "0",
    )
    .await?;
    check("advisory locks", "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711", "0")
        .await?;
    check("prepared transactions", "SELECT count(*)::text FROM pg_prepared_xacts", "0").await?;
    check("temporary tables", "SELECT count(*)::text FROM pg_class WHERE relpersistence = 't'", "0").await?;
    check(
        "settings",
        &format!("SELECT count(*)::text FROM pg_db_role_setting WHERE setrole = '{database}_guest'::regrole"),
        "0",
    )
    .await?;
    check("rows of prey", "SELECT count(*)::text FROM prey", "10").await?;
    check("notes", "SELECT count(*)::text FROM docs WHERE note <> ''", "0").await?;
    check("superusers", &format!("SELECT rolsuper::text FROM pg_roles WHERE rolname = '{database}_guest'"), "false")
        .await?;
    assert_eq!(indexes_of(world, "docs").await?.len(), 1);
    assert!(!std::path::Path::new("/tmp/pgheal-hostile").exists(), "a program has run");
    Ok(())
}

/// TOML of a text setting.
fn text(name: &str, statements: &[&str]) -> String {
    format!("{name} = '''\n{}'''\n", statements.join("\n--\n"))
}

fn reasons(run: &Run) -> Result<String> {
    let document = run.json()?;
    let repairs = document["repairs"].as_array().context("no repairs")?;
    Ok(repairs.iter().map(|repair: &Value| format!("{} {}\n", repair["outcome"], repair["reason"])).collect())
}

#[tokio::test]
async fn every_escape_is_refused_and_leaves_nothing() -> Result<()> {
    let (world, config) = world("hostile", "").await?;
    let statements: Vec<&str> = ESCAPES.iter().map(|(sql, _)| *sql).collect();
    for (statement, expected) in ESCAPES {
        assert_eq!(statements.iter().filter(|known| *known == statement).count(), 1, "{expected}");
    }
    // A failed statement aborts the transaction: those that PostgreSQL itself refuses need one each.
    let (by_host, by_server): (Vec<_>, Vec<_>) =
        ESCAPES.iter().partition(|(_, answer)| !answer.contains("permission denied") && !answer.contains("PostgreSQL"));
    let mut batches: Vec<Vec<&str>> = vec![by_host.iter().map(|(sql, _)| *sql).collect()];
    batches.extend(by_server.iter().map(|(sql, _)| vec![*sql]));
    for batch in batches {
        let run = heal(&world, &config, &text("attack", &batch)).await?;
        for statement in &batch {
            let expected = ESCAPES.iter().find(|(sql, _)| sql == statement).context("known")?.1;
            let answer = run
                .stderr
                .lines()
                .find(|line| line.contains(&format!("[{statement}]")))
                .with_context(|| format!("{statement} was not tried: {run:#?}"))?;
            assert!(answer.contains("refused: ") && answer.contains(expected), "{answer}\nexpected {expected}");
        }
        nothing_is_left(&world).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_allowed_leaves_nothing_either() -> Result<()> {
    let (world, config) = world("leftovers", "").await?;
    for ending in ["error", "trap", "loop"] {
        let settings = format!("ending = \"{ending}\"\n{}", text("attack", LEFTOVERS));
        let run = heal(&world, &config, &settings).await?;
        let expected = match ending {
            "error" => "it never meant to",
            "trap" => "trap: ",
            _ => "out of time: its own code",
        };
        assert!(reasons(&run)?.contains(expected), "{ending}: {run:#?}");
        if ending != "error" {
            assert!(run.stderr.contains("rollback of unfinished runs"), "{run:#?}");
        }
        nothing_is_left(&world).await?;
    }
    Ok(())
}

/// The host's deadline holds whatever the session's settings say, and the statement ends on the server.
#[tokio::test]
async fn sql_that_sleeps_is_cancelled() -> Result<()> {
    let (world, config) = world("sleepy", "").await?;
    let statements = ["SELECT set_config('statement_timeout', '0', false)", "SELECT pg_sleep(100000)"];
    let config = format!("[policies.limits]\nsql_time_ms = 700\n{config}");
    let began = std::time::Instant::now();
    let run = heal(&world, &config, &text("attack", &statements)).await?;
    assert!(began.elapsed() < std::time::Duration::from_secs(60), "{:?}", began.elapsed());
    assert!(run.stderr.contains("longer than 700 ms"), "{run:#?}");
    nothing_is_left(&world).await
}

/// Neither validation nor a policy's judgement of issues may write.
#[tokio::test]
async fn validation_only_reads() -> Result<()> {
    let (world, config) = world("judging", "").await?;
    let settings =
        format!("ending = \"success\"\n{}", text("validation", &["DELETE FROM prey", "SELECT nextval('prey_id_seq')"]));
    let run = heal(&world, &config, &settings).await?;
    assert!(run.stderr.contains("this policy's SQL may only read"), "{run:#?}");
    assert!(run.stderr.contains("25006"), "a function that writes is refused by the server: {run:#?}");
    nothing_is_left(&world).await
}

/// Each function may trap: the outcome is told, what was done is undone, and the next cycle works.
#[tokio::test]
async fn a_trap_in_any_function_is_survived() -> Result<()> {
    let (world, config) = world("trapping", "\"vacuum\"").await?;
    let check = async |function: &str, more: &str, expected: &str| -> Result<()> {
        let run = heal(&world, &config, &format!("trap_in = \"{function}\"\n{more}")).await?;
        assert!(run.output().contains(expected), "{function}: {run:#?}");
        nothing_is_left(&world).await
    };
    check("can-repair", "", "(self-check): trap: ").await?;
    check("repair", "", "trap in repair").await?;
    check("validate", "ending = \"success\"", "trap in validate").await?;
    check("rollback", "ending = \"trap\"", "trap in rollback").await?;
    check("rollback", "ending = \"trap\"\nact = true", "rollback failed").await?;
    // The daemon's next cycle, with policies that behave.
    let healed =
        world.pgheal_configured("heal", "[repair]\nrollback_window_hours = 0\n", &["--once", "--json"]).await?;
    assert!(healed.json()?["repairs"].to_string().contains("healed"), "{healed:#?}");
    Ok(())
}
