//! Repairs from end to end: what they heal, what they leave alone, and what they take back.

use anyhow::{Context, Result};
use pgheal_test_server::{Embeddings, scenarios, spread};
use serde_json::Value;

use super::support::{
    BLIND_OPTIONS, Run, SICK_OPTIONS, World, add_trigger, blind_rows, embeddings, fill_table, grouped_rows, indexes_of,
    one_is_left, workspace,
};

const REBUILD_ONLY: &str = "[policy.index_rebalance.settings]\nsurgical_max_share = \"0\"\n";

/// All rows as one number, whatever their order and place.
const CHECKSUM: &str = "SELECT sum(hashtextextended(d::text, 0)) FROM docs AS d";

#[tokio::test]
async fn blind_spots_are_healed_without_a_rebuild() -> Result<()> {
    let world = World::new("heal_surgical").await?;
    fill_table(&world, "docs", &blind_rows(11)).await?;
    add_trigger(&world, "docs").await?;
    world
        .sql(&format!("CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) {BLIND_OPTIONS}"))
        .await?;
    let (rows, file) = (world.text(CHECKSUM).await?, indexes_of(&world, "docs").await?[0].file);
    let options = "SELECT reloptions::text FROM pg_class WHERE relname = 'docs_idx'";
    let built_with = world.text(options).await?;
    let before = index(&world.pgheal("check", &["--json"]).await?, 1)?;
    assert!(kinds(&before).contains(&"blind_spots"), "{before:#}");
    assert!(before["proposals"].to_string().contains("re-insert"), "{:#}", before["proposals"]);
    assert_eq!(world.text("SELECT count(*) FROM pg_namespace WHERE nspname = 'pgheal'").await?, "0", "check installs");

    let healed = world.pgheal("heal", &["--once", "--json"]).await?;
    healed.expect(0);
    let repair = healed_by(&healed, "orphan_reconnection")?;
    assert_eq!(repair["strategy"], "index_rebalance");
    let after = index(&world.pgheal("check", &["--json"]).await?, 0)?;
    assert!(share(&after["recall_at_10"]) >= 0.95, "{after:#}");
    assert!(share(&after["blind_share"]) <= 0.005, "{after:#}");
    assert!(unfindable(&after) < unfindable(&before) / 4.0, "{after:#}");

    assert_eq!(world.text(CHECKSUM).await?, rows, "the rows have changed");
    assert_eq!(world.text("SELECT count(*) FROM trigger_calls").await?, "0", "triggers fired");
    assert_eq!(indexes_of(&world, "docs").await?[0].file, file, "it was rebuilt");
    assert_eq!(indexes_of(&world, "docs").await?.len(), 1);
    assert_eq!(world.text(options).await?, built_with, "the index was altered");
    Ok(())
}

/// Triggers that would fire whatever the session says are a reason to rebuild instead.
#[tokio::test]
async fn a_trigger_that_cannot_be_silenced_makes_it_a_rebuild() -> Result<()> {
    let world = World::new("heal_trigger").await?;
    fill_table(&world, "docs", &grouped_rows(3_000, 1)).await?;
    add_trigger(&world, "docs").await?;
    world
        .sql(
            "ALTER TABLE docs ENABLE ALWAYS TRIGGER note_update; \
             CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) WITH (m = 8, ef_construction = 16)",
        )
        .await?;
    let before = indexes_of(&world, "docs").await?[0].clone();
    let healed = world.pgheal("heal", &["--once", "--json"]).await?;
    healed.expect(0);
    healed_by(&healed, "index_rebuild")?;
    assert_eq!(world.text("SELECT count(*) FROM trigger_calls").await?, "0", "triggers fired");
    let found = indexes_of(&world, "docs").await?;
    one_is_left(&found, &before);
    let kept: Vec<_> = found.iter().filter(|index| index.kept).collect();
    assert!(kept.len() == 1 && kept[0].file == before.file, "the old index is not kept: {found:#?}");
    Ok(())
}

#[tokio::test]
async fn lists_are_trained_anew() -> Result<()> {
    let mut world = World::new("heal_ivfflat").await?;
    let scenario = scenarios::STALE_LISTS;
    scenario.create(&mut world.client, &Embeddings::load(workspace())?).await?;
    let checksum = CHECKSUM.replace("docs", scenario.table);
    let rows = world.text(&checksum).await?;
    let before = world.pgheal("check", &["--json"]).await?.index(scenario.index)?;
    assert!(kinds(&before).contains(&"low_recall"), "{before:#}");

    let healed = world.pgheal("heal", &["--once", "--json"]).await?;
    healed_by(&healed, "cluster_retraining")?;
    let after = world.pgheal("check", &["--json"]).await?.index(scenario.index)?;
    assert!(share(&before["centroid_quality"]) < 0.6 && share(&after["centroid_quality"]) > 0.9, "{after:#}");
    assert!(share(&after["recall_at_10"]) >= 0.95, "{after:#}");
    assert_eq!(after["probes"], before["probes"], "the setting of the database's owner was changed");
    assert_eq!(world.text(&checksum).await?, rows, "the rows have changed");
    Ok(())
}

const SETTINGS: &str = "SELECT coalesce(string_agg(coalesce(r.rolname, '') || ' ' || array_to_string(s.setconfig, ','), ' | ' ORDER BY 1), '') \
    FROM pg_db_role_setting AS s LEFT JOIN pg_roles AS r ON r.oid = s.setrole \
    WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())";
/// On 2,000 real rows ef_search 40 gives a recall of 0.98; about 100 is needed for this.
const AMBITIOUS: &str = "[measure]\nrecall_target = 0.99\n";

#[tokio::test]
async fn the_parameter_is_set_for_the_database() -> Result<()> {
    let world = tuned_world("heal_tuning").await?;
    let before = indexes_of(&world, "docs").await?;
    let healed = world.pgheal_configured("heal", AMBITIOUS, &["--once", "--json"]).await?;
    healed.expect(0);
    let repair = healed_by(&healed, "parameter_tuning")?;
    assert_eq!(repair["strategy"], "parameter_tuning");
    let setting = world.text(SETTINGS).await?;
    let value: u32 = setting.trim().strip_prefix("hnsw.ef_search=").context(setting.clone())?.parse()?;
    assert!((50..=400).contains(&value), "{setting}");
    let after = world.pgheal_configured("check", AMBITIOUS, &["--json"]).await?;
    after.expect(0);
    assert_eq!(after.index("docs_idx")?["ef_search"], value);
    assert_eq!(indexes_of(&world, "docs").await?, before, "the index was touched");
    Ok(())
}

/// Somebody chose a value. It is not ours to change, without consent.
#[tokio::test]
async fn a_users_own_setting_is_not_overwritten() -> Result<()> {
    let world = tuned_world("heal_own_setting").await?;
    world.sql("ALTER DATABASE heal_own_setting SET hnsw.ef_search = 30").await?;
    let config =
        format!("{AMBITIOUS}[policy.index_rebalance.settings]\nsurgical_max_share = \"0\"\nmax_builds = \"0\"\n");
    let run = world.pgheal_configured("heal", &config, &["--once", "--json"]).await?;
    assert!(matches!(run.code, Some(1 | 3)) && !run.stderr.contains("panicked"), "{run:#?}");
    assert_eq!(world.text(SETTINGS).await?.trim(), "hnsw.ef_search=30");
    // It asked before it measured on scans: nothing of it is in the result.
    let history = world.pgheal("history", &["--json"]).await?.json()?;
    let tuning = history.as_array().into_iter().flatten().find(|r| r["strategy"] == "parameter_tuning");
    let reason = tuning.context("parameter_tuning is not in the history")?["reason"].to_string();
    assert!(reason.contains("was set by somebody else"), "{reason}");

    let consent = format!("{config}[repair]\nallow_overwriting_settings = true\n");
    let run = world.pgheal_configured("heal", &consent, &["--once", "--json"]).await?;
    run.expect(0);
    assert_ne!(world.text(SETTINGS).await?.trim(), "hnsw.ef_search=30");
    Ok(())
}

/// A setting of the role stands above the database's, so the new value is not in force: it is taken back.
#[tokio::test]
async fn a_parameter_that_does_not_hold_is_taken_back() -> Result<()> {
    let world = tuned_world("heal_taken_back").await?;
    world.sql("ALTER ROLE postgres IN DATABASE heal_taken_back SET hnsw.ef_search = 35").await?;
    let config = format!("{AMBITIOUS}[policy.index_rebalance.settings]\nmax_builds = \"0\"\n");
    let run = world.pgheal_configured("heal", &config, &["--once", "--json"]).await?;
    assert!(matches!(run.code, Some(1 | 3)) && !run.stderr.contains("panicked"), "{run:#?}");
    assert_eq!(world.text(SETTINGS).await?.trim(), "postgres hnsw.ef_search=35");
    Ok(())
}

/// Every build is measured and discarded: the graph may not get denser, and the target is out of reach.
#[tokio::test]
async fn a_gate_that_is_not_passed_leaves_nothing_behind() -> Result<()> {
    let world = World::new("heal_gate").await?;
    fill_table(&world, "docs", &grouped_rows(3_000, 1)).await?;
    world
        .sql(&format!("CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) {SICK_OPTIONS}"))
        .await?;
    let before = indexes_of(&world, "docs").await?;
    // Recall and blind spots only: of orphans, a build by chance may have fewer.
    let graph = "[measure]\nmax_orphans = 1000000\nmin_connectivity = 0.0\n";
    let config = format!("{REBUILD_ONLY}max_m = \"2\"\nmax_builds = \"1\"\n{graph}");
    let run = world.pgheal_configured("heal", &config, &["--once", "--json"]).await?;
    run.expect(3);
    assert_eq!(indexes_of(&world, "docs").await?, before);
    let history = world.pgheal("history", &["--json"]).await?;
    history.expect(0);
    let history = history.json()?;
    let records = history.as_array().context("no list")?;
    let record = records.iter().find(|r| r["strategy"] == "index_rebalance").context("no record")?;
    assert_eq!(record["outcome"], "rolled_back");
    assert!(
        record["reason"].as_str().is_some_and(|r| r.contains("1 builds were measured and discarded")),
        "{record:#}"
    );
    Ok(())
}

/// Churn alone is no reason: this index answers well, and is left as it is, in check and in heal.
#[tokio::test]
async fn a_healthy_churned_index_is_left_alone() -> Result<()> {
    let world = World::new("heal_healthy").await?;
    let rows = spread(embeddings(), 3_000, 1);
    fill_table(&world, "docs", &rows).await?;
    world
        .sql("CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) WITH (m = 24, ef_construction = 100)")
        .await?;
    world.sql("DELETE FROM docs WHERE id % 6 = 0").await?;
    world.sql("VACUUM docs").await?;
    world.sql("UPDATE docs SET note = 'x' WHERE id % 4 = 1; ANALYZE docs").await?;
    let (before, checksum) = (indexes_of(&world, "docs").await?, world.text(CHECKSUM).await?);
    let report = index(&world.pgheal("check", &["--json"]).await?, 0)?;
    assert_eq!(report["verdict"], "healthy", "{report:#}");
    assert!(report["elements_deleted"].as_u64().is_some_and(|n| n > 0));
    world.pgheal("heal", &["--once"]).await?.expect(0);
    assert_eq!(indexes_of(&world, "docs").await?, before, "it was touched");
    assert_eq!(world.text(CHECKSUM).await?, checksum);
    assert_eq!(world.text("SELECT count(*) FROM pgheal.repairs").await?, "0");
    Ok(())
}

/// A dry run says what it would do, and does nothing, not even install itself.
#[tokio::test]
async fn a_dry_run_changes_nothing() -> Result<()> {
    let world = World::new("heal_dry").await?;
    fill_table(&world, "docs", &grouped_rows(3_000, 1)).await?;
    world
        .sql(&format!("CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) {SICK_OPTIONS}"))
        .await?;
    let before = indexes_of(&world, "docs").await?;
    let run = world.pgheal("heal", &["--once", "--dry-run"]).await?;
    run.expect(1);
    assert!(run.stdout.contains("build anew"), "{}", run.stdout);
    assert_eq!(indexes_of(&world, "docs").await?, before);
    assert_eq!(world.text("SELECT count(*) FROM pg_namespace WHERE nspname = 'pgheal'").await?, "0");
    Ok(())
}

async fn tuned_world(name: &str) -> Result<World> {
    let world = World::new(name).await?;
    fill_table(&world, "docs", &embeddings()[..2_000]).await?;
    world
        .sql(
            "CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) WITH (m = 8, ef_construction = 32)",
        )
        .await?;
    Ok(world)
}

#[track_caller]
fn index(run: &Run, code: i32) -> Result<Value> {
    run.expect(code);
    run.index("docs_idx")
}

/// The repair of this type that healed.
fn healed_by(run: &Run, repair_type: &str) -> Result<Value> {
    let document = run.json()?;
    let repairs = document["repairs"].as_array().context("no repairs")?;
    let found = repairs.iter().find(|r| r["outcome"] == "healed" && r["result"]["repair_type"] == repair_type);
    found.cloned().with_context(|| format!("no {repair_type}: {document:#}"))
}

fn kinds(report: &Value) -> Vec<&str> {
    report["issues"].as_array().into_iter().flatten().filter_map(|issue| issue["kind"].as_str()).collect()
}

fn share(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

fn unfindable(report: &Value) -> f64 {
    share(&report["unfindable"]["count"]) / share(&report["unfindable"]["of_sampled"])
}
