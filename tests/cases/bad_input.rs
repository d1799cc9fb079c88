//! What is not as it should be gets a clear error or `unknown` with a reason: never a panic, never a wrong number.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use pgheal_test_server::{Client, execute};
use serde_json::Value;

use super::support::{
    ConfigFile, Run, Truth, World, fill_table, grouped_rows, indexes_of, lock, own_server, pgheal, pgheal_with,
};

const HNSW: &str = "USING hnsw (embedding vector_cosine_ops)";

#[track_caller]
fn refused(run: &Run, said: &[&str]) {
    run.expect(2);
    for part in said {
        assert!(run.stderr.to_lowercase().contains(&part.to_lowercase()), "{part:?} is not said: {run:#?}");
    }
    assert!(run.stdout.trim().is_empty(), "{run:#?}");
}

#[tokio::test]
async fn usage_and_connection() -> Result<()> {
    let world = World::new("bad_connection").await?;
    refused(&pgheal(&["check", "postgresql://postgres@no-such-host.invalid/x"]).await?, &["no-such-host.invalid"]);
    refused(&pgheal(&["check", "postgresql://postgres@127.0.0.1:1/x"]).await?, &["127.0.0.1:1", "reached"]);
    refused(&pgheal(&["check", "no url at all"]).await?, &["postgresql://"]);
    let elsewhere = world.url().replace("bad_connection", "nowhere_at_all");
    refused(&pgheal(&["check", &elsewhere]).await?, &["nowhere_at_all", "does not exist"]);
    world.add_password_role("with_password", "", "right").await?;
    let run = pgheal(&["check", &world.url_as("with_password:wrong")]).await?;
    refused(&run, &["password"]);
    assert!(!run.output().contains("wrong"), "the password is shown: {run:#?}");
    let run = pgheal(&["check", &world.url_as("with_password")]).await?;
    refused(&run, &["password"]);

    // clap's own: usage on stderr.
    assert_eq!(world.pgheal("heal", &[]).await?.code, Some(2));
    assert_eq!(pgheal(&["chekc"]).await?.code, Some(2));
    for (toml, said) in [
        ("[measure]\nrecall_target = 1.5\n", "recall_target"),
        ("[mesure]\n", "mesure"),
        ("[measure\n", "line 1"),
        ("[measure]\nquery_table = \"nowhere\"\n", "nowhere"),
    ] {
        let run = world.pgheal_configured("check", toml, &[]).await?;
        if said != "nowhere" {
            refused(&run, &[said, ".toml"]);
        }
    }
    refused(&world.pgheal("check", &["--config", "/nonexistent/pgheal.toml"]).await?, &["/nonexistent/pgheal.toml"]);
    Ok(())
}

#[tokio::test]
async fn nothing_to_look_at() -> Result<()> {
    let world = World::new("bad_nothing").await?;
    let none = world.pgheal("check", &["--json"]).await?;
    assert!(!none.stderr.contains("panicked") && none.code == Some(2), "{none:#?}");
    assert!(none.stderr.contains("bad_nothing has no hnsw or ivfflat index"), "{none:#?}");
    world.sql("CREATE TABLE plain (id int PRIMARY KEY, x text); CREATE INDEX plain_idx ON plain (x)").await?;
    refused(&world.pgheal("check", &["--index", "nowhere_idx"]).await?, &["nowhere_idx"]);
    refused(&world.pgheal("check", &["--index", "plain_idx"]).await?, &["plain_idx"]);

    let bare = World::on(world.server.clone(), "bad_no_pgvector", &[]).await?;
    refused(&bare.pgheal("check", &[]).await?, &["vector", "extension"]);
    let history = bare.pgheal("history", &["--json"]).await?;
    history.expect(0);
    assert_eq!(history.json()?, serde_json::json!([]));
    Ok(())
}

#[tokio::test]
async fn names_that_need_quoting() -> Result<()> {
    let world = World::new("bad_names").await?;
    let rows = grouped_rows(500, 1);
    fill_table(&world, "filled", &rows).await?;
    world
        .sql(&format!(
            r#"CREATE SCHEMA "Ümläut schema"; CREATE TABLE "Ümläut schema"."O'Neill; ""t""" AS SELECT * FROM filled;
            CREATE INDEX "a.b ""c""'; DROP TABLE filled; --" ON "Ümläut schema"."O'Neill; ""t""" {HNSW};
            CREATE INDEX "Plain" ON filled {HNSW}"#
        ))
        .await?;
    let name = "a.b \"c\"'; DROP TABLE filled; --";
    let forms =
        [name, r#""a.b ""c""'; DROP TABLE filled; --""#, r#""Ümläut schema"."a.b ""c""'; DROP TABLE filled; --""#];
    for form in forms {
        let run = world.pgheal("check", &["--json", "--index", form]).await?;
        assert!(matches!(run.code, Some(0 | 1)), "{form}: {run:#?}");
        let report = run.index(name)?;
        assert_eq!(report["schema"], "Ümläut schema", "{form}");
        assert_eq!(report["table"], "O'Neill; \"t\"", "{form}");
        assert_eq!(report["elements_live"], 500, "{form}");
        assert_eq!(run.json()?["indexes"].as_array().map(Vec::len), Some(1), "{form}");
    }
    let both = world.pgheal("check", &["--json"]).await?.json()?;
    assert_eq!(both["indexes"].as_array().map(Vec::len), Some(2));
    assert_eq!(world.text("SELECT count(*) FROM filled").await?, "500");
    Ok(())
}

#[tokio::test]
async fn partial_expression_and_partition() -> Result<()> {
    let world = World::new("bad_kinds").await?;
    fill_table(&world, "docs", &grouped_rows(3_000, 1)).await?;
    world
        .sql(
            "CREATE INDEX partial_idx ON docs USING hnsw (embedding vector_l2_ops) WITH (m = 4) WHERE id % 3 = 0; \
             CREATE INDEX half_idx ON docs USING hnsw ((embedding::halfvec(16)) halfvec_cosine_ops) WITH (m = 4); \
             CREATE INDEX bit_idx ON docs USING hnsw ((binary_quantize(embedding)::bit(16)) bit_hamming_ops); \
             CREATE TABLE parted (LIKE docs) PARTITION BY RANGE (id); \
             CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (1000); \
             CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (1000) TO (9000); \
             INSERT INTO parted SELECT * FROM docs; ANALYZE docs; \
             CREATE INDEX parted_idx ON parted USING hnsw (embedding vector_cosine_ops); \
             CREATE TABLE queries AS SELECT id, embedding FROM docs WHERE id % 20 = 0; \
             CREATE TABLE half_queries AS SELECT id, embedding::halfvec(16) AS embedding FROM queries",
        )
        .await?;
    let config = "[index.partial_idx]\nquery_table = \"queries\"\n[index.half_idx]\nquery_table = \"half_queries\"\n";
    let run = world.pgheal_configured("check", config, &["--json"]).await?;
    assert!(matches!(run.code, Some(0 | 1)), "{run:#?}");
    let names: Vec<Value> =
        run.json()?["indexes"].as_array().context("no indexes")?.iter().map(|i| i["name"].clone()).collect();
    assert_eq!(names.len(), 5, "the partitioned index itself has no pages: {names:?}");
    for (leaf, rows) in [("parted_1_embedding_idx", 1_000), ("parted_2_embedding_idx", 2_000)] {
        assert_eq!(run.index(leaf)?["elements_live"], rows);
    }
    assert!(run.index("bit_idx")?["recall_at_10"].is_number(), "{:#}", run.index("bit_idx")?);

    let truth = Truth::find(&world.client, "docs WHERE id % 3 = 0", "queries", "<->").await?;
    let real = truth.real_scans(&world.client, "partial_idx", "hnsw.ef_search", 40).await?;
    let partial = run.index("partial_idx")?;
    assert_eq!(partial["elements_live"], 1_000);
    near(&partial["recall_at_10"], real.recall);
    let source = "(SELECT embedding::halfvec(16) AS embedding FROM docs) AS d";
    let truth = Truth::find(&world.client, source, "half_queries", "<=>").await?;
    let real = truth.real_scans(&world.client, "half_idx", "hnsw.ef_search", 40).await?;
    let half = run.index("half_idx")?;
    assert_eq!((&half["type"], half["elements_live"].as_u64()), (&Value::from("halfvec"), Some(3_000)));
    near(&half["recall_at_10"], real.recall);
    Ok(())
}

#[track_caller]
fn near(reported: &Value, expected: f64) {
    let reported = reported.as_f64().unwrap_or(f64::NAN);
    assert!((reported - expected).abs() <= 0.01, "reported {reported}, real {expected}");
}

#[tokio::test]
async fn few_rows_and_none() -> Result<()> {
    let world = World::new("bad_few").await?;
    world
        .sql(&format!(
            "CREATE TABLE empty (id bigint, embedding vector(3)); \
             CREATE INDEX empty_hnsw ON empty {HNSW}; \
             CREATE INDEX empty_ivf ON empty USING ivfflat (embedding vector_l2_ops) WITH (lists = 5); \
             CREATE TABLE five (id bigint, embedding vector(3)); \
             INSERT INTO five SELECT i, ARRAY[i, 1, 2]::real[]::vector FROM generate_series(1, 5) AS i; \
             CREATE INDEX five_hnsw ON five {HNSW}; \
             CREATE INDEX five_ivf ON five USING ivfflat (embedding vector_l2_ops) WITH (lists = 2); \
             CREATE TABLE gaps (id bigint, embedding vector(3)); \
             INSERT INTO gaps SELECT i, CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN '[0,0,0]' \
                 ELSE ARRAY[sin(i), cos(i), i % 7 - 3.5]::real[]::vector END FROM generate_series(1, 900) AS i; \
             CREATE INDEX gaps_hnsw ON gaps {HNSW}; \
             CREATE TABLE gone (id bigint, embedding vector(3)) WITH (autovacuum_enabled = off); \
             INSERT INTO gone SELECT i, ARRAY[i, 1, 2]::real[]::vector FROM generate_series(1, 50) AS i; \
             CREATE INDEX gone_hnsw ON gone {HNSW}; DELETE FROM gone; ANALYZE"
        ))
        .await?;
    let run = world.pgheal("check", &["--json"]).await?;
    assert!(matches!(run.code, Some(0 | 1)) && !run.stderr.contains("panicked"), "{run:#?}");
    for name in ["empty_hnsw", "empty_ivf", "gone_hnsw"] {
        let report = run.index(name)?;
        assert!(report["recall_at_10"].is_null(), "{report:#}");
        assert!(reason(&report, "recall_at_10").is_some(), "{report:#}");
        assert_eq!(report["issues"].as_array().map(Vec::len), Some(0), "{report:#}");
    }
    let empty = run.index("empty_hnsw")?;
    assert_eq!((&empty["elements_live"], &empty["entry_point"]), (&Value::from(0), &Value::Null));
    let gone = run.index("gone_hnsw")?;
    assert_eq!(gone["elements_awaiting_vacuum"], 50, "{gone:#}");
    for name in ["five_hnsw", "five_ivf"] {
        let report = run.index(name)?;
        let recall = report["recall_at_10"].as_f64();
        assert!(recall == Some(1.0) || name == "five_ivf", "{report:#}");
    }
    assert_eq!(run.index("five_hnsw")?["elements_live"], 5);
    // Rows without a vector, and without a direction, are in no cosine index.
    let gaps = run.index("gaps_hnsw")?;
    assert_eq!(gaps["elements_live"], 300, "{gaps:#}");
    assert!(gaps["recall_at_10"].as_f64().is_some_and(|recall| recall > 0.9), "{gaps:#}");
    // And for a person.
    let table = world.pgheal("check", &[]).await?;
    assert!(table.stdout.contains("empty_hnsw") && table.stdout.contains("unknown"), "{table:#?}");
    world.pgheal("heal", &["--once"]).await?;
    assert_eq!(indexes_of(&world, "empty").await?.len(), 2);
    Ok(())
}

/// CREATE INDEX CONCURRENTLY waits for a transaction that does not end: the index is there, and not yet one.
#[tokio::test]
async fn an_index_that_is_being_built() -> Result<()> {
    let world = World::new("bad_building").await?;
    fill_table(&world, "docs", &grouped_rows(500, 1)).await?;
    let blocker = world.connect().await?;
    execute(&blocker, "BEGIN; INSERT INTO docs (id) VALUES (-1)").await?;
    let builder = world.connect().await?;
    let build =
        tokio::spawn(
            async move { execute(&builder, &format!("CREATE INDEX CONCURRENTLY docs_idx ON docs {HNSW}")).await },
        );
    wait_until(
        &world.client,
        "SELECT count(*) > 0 FROM pg_stat_progress_create_index WHERE datname = current_database() AND index_relid <> 0 AND lockers_total > 0",
    )
    .await?;
    let run = world.pgheal("check", &["--json"]).await?;
    run.expect(1);
    let report = run.index("docs_idx")?;
    assert!(report["recall_at_10"].is_null() && report["elements_live"].is_null(), "{report:#}");
    assert!(report["unknown"].to_string().contains("being built"), "{report:#}");
    // Nobody else's running build is a leftover.
    let heal = world.pgheal("heal", &["--once"]).await?;
    assert!(matches!(heal.code, Some(0 | 1)), "{heal:#?}");
    assert_eq!(
        world.text("SELECT count(*) FROM pg_stat_progress_create_index WHERE datname = current_database()").await?,
        "1"
    );
    execute(&blocker, "ROLLBACK").await?;
    build.await??;
    world.pgheal("check", &["--json"]).await?.expect(0);
    Ok(())
}

async fn wait_until(client: &Client, condition: &str) -> Result<()> {
    for _ in 0..400 {
        if client.query_one(condition, &[]).await?.get::<_, bool>(0) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    anyhow::bail!("never: {condition}")
}

/// One page of each index is another's, or noise, and the server does not notice it.
#[tokio::test]
async fn torn_and_foreign_pages() -> Result<()> {
    let server = own_server(&[("ignore_checksum_failure", "on"), ("full_page_writes", "off")])?;
    let mut world = World::on(server.clone(), "bad_pages", &["vector", "pageinspect"]).await?;
    fill_table(&world, "docs", &grouped_rows(3_000, 1)).await?;
    let names = ["foreign_page", "torn", "noise", "meta", "ivf", "sound"];
    for name in names {
        let using = if name == "ivf" { "USING ivfflat (embedding vector_l2_ops) WITH (lists = 20)" } else { HNSW };
        world.sql(&format!("CREATE INDEX {name} ON docs {using}")).await?;
    }
    world.sql("CHECKPOINT").await?;
    for (name, block) in [("foreign_page", 7), ("torn", 7), ("noise", 7), ("meta", 0), ("ivf", 5)] {
        let relative = world.text(&format!("SELECT pg_relation_filepath('{name}')")).await?;
        let heap = world.text("SELECT pg_relation_filepath('docs')").await?;
        let data = lock(&server).data_directory();
        damage(&data.join(relative), &data.join(heap), name, block)?;
    }
    // The pages that the server holds in memory are the sound ones: they must go.
    lock(&server).crash_and_restart()?;
    world.client = world.connect().await?;

    let run = world.pgheal("check", &["--json"]).await?;
    assert!(!run.stderr.contains("panicked"), "{run:#?}");
    run.expect(1);
    for name in names {
        let report = run.index(name)?;
        if name == "sound" {
            assert_eq!(report["elements_live"], 3_000);
            continue;
        }
        // Neither a count that leaves a page out, nor a recall of a graph with a hole.
        for field in ["elements_live", "elements_reachable", "orphan_count", "recall_at_10", "curve", "entries"] {
            assert!(report[field].is_null(), "{name}: {field} = {}", report[field]);
        }
        assert!(!report["unknown"].as_array().context("no unknown")?.is_empty(), "{report:#}");
        assert!(
            report["unknown"].to_string().contains("block") || report["unknown"].to_string().contains("page"),
            "{report:#}"
        );
        assert_ne!(report["verdict"], "healthy", "{report:#}");
    }
    Ok(())
}

/// `foreign_page` (and `ivf`) get a page of the table, `torn` the second half of another page of its own, the others noise
/// behind a sound page header.
fn damage(file: &PathBuf, heap: &PathBuf, how: &str, block: u64) -> Result<()> {
    const PAGE: usize = 8192;
    let mut index = std::fs::File::options().read(true).write(true).open(file)?;
    let mut page = vec![0; PAGE];
    index.seek(SeekFrom::Start(block * PAGE as u64))?;
    index.read_exact(&mut page)?;
    match how {
        "foreign_page" | "ivf" => std::fs::File::open(heap)?.read_exact(&mut page)?,
        "torn" => {
            let mut other = vec![0; PAGE];
            index.seek(SeekFrom::Start((block + 4) * PAGE as u64))?;
            index.read_exact(&mut other)?;
            page[PAGE / 2..].copy_from_slice(&other[PAGE / 2..]);
            // Torn between two states of the page: one line pointer more than there are tuples.
            page[24..28].copy_from_slice(&other[28..32]);
        }
        _ => page[24..].iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 167 % 251) as u8),
    }
    index.seek(SeekFrom::Start(block * PAGE as u64))?;
    index.write_all(&page)?;
    index.sync_all()?;
    Ok(())
}

/// Without page access SQL tells what it can, and the rest is unknown with the reason.
#[tokio::test]
async fn a_role_without_page_access() -> Result<()> {
    let world = World::new("bad_access").await?;
    fill_table(&world, "docs", &grouped_rows(2_000, 1)).await?;
    world
        .sql(&format!(
            "CREATE INDEX docs_idx ON docs {HNSW}; CREATE ROLE only_reads LOGIN; GRANT SELECT ON docs TO only_reads; \
             CREATE ROLE sees_nothing LOGIN"
        ))
        .await?;
    let run = pgheal(&["check", &world.url_as("only_reads"), "--json"]).await?;
    assert!(matches!(run.code, Some(0 | 1)), "{run:#?}");
    let report = run.index("docs_idx")?;
    let unknown = reason(&report, "elements_live").with_context(|| format!("{report:#}"))?;
    assert!(unknown.contains("page access"), "{unknown}");
    assert!(report["recall_at_10"].as_f64().is_some_and(|recall| recall > 0.5), "{report:#}");
    assert!(report["size_bytes"].as_u64().is_some_and(|bytes| bytes > 100_000), "{report:#}");

    let run = pgheal(&["check", &world.url_as("sees_nothing"), "--json"]).await?;
    assert!(!run.stderr.contains("panicked") && matches!(run.code, Some(1 | 2)), "{run:#?}");
    let heal = pgheal(&["heal", &world.url_as("only_reads"), "--once"]).await?;
    refused(&heal, &["permission"]);
    Ok(())
}

#[tokio::test]
async fn components_that_are_none() -> Result<()> {
    let world = World::new("bad_components").await?;
    fill_table(&world, "docs", &grouped_rows(500, 1)).await?;
    world.sql(&format!("CREATE INDEX docs_idx ON docs {HNSW}")).await?;
    let directory = std::env::temp_dir().join(format!("pgheal-test-{}-components", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    // Text, a core module that is no component, an empty file, and a component of nothing.
    let files: [(&str, &[u8]); 4] = [
        ("text.wasm", b"not a component at all"),
        ("module.wasm", b"\0asm\x01\0\0\0"),
        ("empty.wasm", b""),
        ("hollow.wasm", b"\0asm\x0d\0\x01\0"),
    ];
    for (name, bytes) in files {
        std::fs::write(directory.join(name), bytes)?;
    }
    let path = directory.display().to_string();
    let check = world.pgheal("check", &["--json", "--policies", &path]).await?;
    check.expect(0);
    for (name, _) in files {
        assert!(check.json()?["notes"].to_string().contains(name), "{name} is not named: {check:#?}");
    }
    assert_eq!(check.index("docs_idx")?["elements_live"], 500);
    let heal = world.pgheal("heal", &["--once", "--policies", &path]).await?;
    refused(&heal, &["strategy"]);
    assert!(heal.stderr.contains("text.wasm"), "{heal:#?}");
    std::fs::remove_dir_all(&directory)?;
    let absent = world.pgheal("heal", &["--once", "--policies", &path]).await?;
    refused(&absent, &[&path]);
    let check = world.pgheal("check", &["--json", "--policies", &path]).await?;
    check.expect(0);

    let config = ConfigFile::write("bad_components", "[healing]\nauto_heal_enabled = true\n")?;
    let run = pgheal_with(&["run", "--config", &config.0.display().to_string()], &[]).await?;
    refused(&run, &["url"]);
    Ok(())
}

/// The reason that the report gives for a field.
fn reason(report: &Value, field: &str) -> Option<String> {
    let unknown = report["unknown"].as_array()?;
    let found = unknown.iter().find(|entry| entry["field"] == field || entry["field"] == "*")?;
    found["reason"].as_str().map(str::to_owned)
}
