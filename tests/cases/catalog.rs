//! The catalog before and after a healed rebuild: nothing differs but the OID, the file, and what the repair said.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use super::support::{SICK_OPTIONS, World, fill_table, grouped_rows, indexes_of};

const REBUILD_ONLY: &str = "[policy.index_rebalance.settings]\nsurgical_max_share = \"0\"\n";

/// All that a person can give an index: a name that needs quoting in a schema that does, an expression with a
/// statistics target, a predicate, options, a tablespace, a comment.
#[tokio::test]
async fn nothing_is_lost_of_an_elaborate_index() -> Result<()> {
    let world = World::new("catalog_elaborate").await?;
    let rows = grouped_rows(4_000, 1);
    fill_table(&world, "filled", &rows).await?;
    world.sql("CREATE TABLESPACE catalog_elaborate LOCATION ''").await?;
    world
        .sql(&format!(
            r#"CREATE SCHEMA "Sch éma ""q""";
            CREATE TABLE "Sch éma ""q"""."Tab le's" (LIKE filled INCLUDING ALL); ALTER TABLE "Sch éma ""q"""."Tab le's" SET (autovacuum_enabled = off);
            INSERT INTO "Sch éma ""q"""."Tab le's" SELECT * FROM filled;
            CREATE ROLE catalog_owner; CREATE ROLE catalog_reader;
            GRANT ALL ON SCHEMA "Sch éma ""q""" TO catalog_owner; GRANT CREATE ON TABLESPACE catalog_elaborate TO catalog_owner;
            ALTER TABLE "Sch éma ""q"""."Tab le's" OWNER TO catalog_owner;
            GRANT SELECT, UPDATE (note) ON "Sch éma ""q"""."Tab le's" TO catalog_reader;
            CREATE INDEX "My ""odd"" Índex, (1)" ON "Sch éma ""q"""."Tab le's"
                USING hnsw ((embedding::halfvec(16)) halfvec_l2_ops) {SICK_OPTIONS} TABLESPACE catalog_elaborate WHERE id % 5 <> 0;
            ALTER INDEX "Sch éma ""q"""."My ""odd"" Índex, (1)" ALTER COLUMN 1 SET STATISTICS 321;
            COMMENT ON INDEX "Sch éma ""q"""."My ""odd"" Índex, (1)" IS 'nobody''s "business"';
            ANALYZE "Sch éma ""q"""."Tab le's""#
        ))
        .await?;
    let table = r#""Sch éma ""q"""."Tab le's""#;
    let before = Catalog::read(&world, table).await?;
    assert!(before.index["attributes"].to_string().contains("321"), "{:#}", before.index);

    let named = r#""Sch éma ""q"""."My ""odd"" Índex, (1)""#;
    let healed = world.pgheal_configured("heal", REBUILD_ONLY, &["--once", "--json", "--index", named]).await?;
    healed.expect(0);
    let after = Catalog::read(&world, table).await?;
    same_catalog(&before, &after);

    let repairs = healed.json()?;
    let result = repairs["repairs"]
        .as_array()
        .and_then(|repairs| repairs.iter().find(|repair| repair["outcome"] == "healed"))
        .context("no healed repair")?["result"]
        .to_string();
    for (name, value) in &after.options {
        if before.options.get(name) != Some(value) {
            assert!(result.contains(&format!("{name} = {value}")), "{name} = {value} was not announced: {result}");
        }
    }
    Ok(())
}

/// The plain case: a column, the default options left to the server, an owner who is not the superuser.
#[tokio::test]
async fn nothing_is_lost_of_a_plain_index() -> Result<()> {
    let world = World::new("catalog_plain").await?;
    fill_table(&world, "docs", &grouped_rows(3_000, 1)).await?;
    world.sql(&format!("CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_ip_ops) {SICK_OPTIONS}")).await?;
    let before = Catalog::read(&world, "docs").await?;
    world.pgheal_configured("heal", REBUILD_ONLY, &["--once"]).await?.expect(0);
    same_catalog(&before, &Catalog::read(&world, "docs").await?);
    Ok(())
}

/// REINDEX would take the options anew, so that it heals: the leaf was built with others.
#[tokio::test]
async fn a_leaf_is_reindexed_with_consent_only() -> Result<()> {
    let world = World::new("catalog_leaf").await?;
    fill_table(&world, "filled", &grouped_rows(3_000, 1)).await?;
    world
        .sql(&format!(
            "CREATE TABLE docs (id bigint, embedding vector(16), note text) PARTITION BY RANGE (id); \
             CREATE TABLE docs_1 PARTITION OF docs FOR VALUES FROM (0) TO (100000); \
             INSERT INTO docs SELECT * FROM filled; ANALYZE docs; \
             CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) {SICK_OPTIONS}; \
             ALTER INDEX docs_1_embedding_idx SET (m = 24, ef_construction = 128)"
        ))
        .await?;
    let before = indexes_of(&world, "docs_1").await?;

    let refused = world.pgheal_configured("heal", REBUILD_ONLY, &["--once", "--json"]).await?;
    refused.expect(1);
    let reasons = refused.json()?["repairs"].to_string();
    assert!(reasons.contains("partition") && reasons.contains("consent"), "the reason is missing: {reasons}");
    assert_eq!(indexes_of(&world, "docs_1").await?, before, "something was done without consent");

    let consent = format!("[repair]\nallow_irreversible = true\n{REBUILD_ONLY}");
    let healed = world.pgheal_configured("heal", &consent, &["--once", "--json"]).await?;
    healed.expect(0);
    let after = indexes_of(&world, "docs_1").await?;
    assert_eq!(after.len(), 1, "{after:#?}");
    assert!(after[0].usable && after[0].file != before[0].file, "{after:#?}");
    assert_eq!((&after[0].name, &after[0].definition), (&before[0].name, &before[0].definition));
    let attached = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'docs_idx'::regclass AND inhrelid = 'docs_1_embedding_idx'::regclass";
    assert_eq!(world.text(attached).await?, "1");
    Ok(())
}

/// What the catalog knows of the table's only vector index (within its rollback window: of the one not kept), and of
/// the table.
#[derive(Debug)]
struct Catalog {
    index: Value,
    options: BTreeMap<String, String>,
    table: Value,
}

impl Catalog {
    async fn read(world: &World, table: &str) -> Result<Catalog> {
        let found = indexes_of(world, table).await?;
        let own: Vec<_> = found.iter().filter(|index| !index.kept).collect();
        assert_eq!(own.len(), 1, "{found:#?}");
        let client = &world.client;
        // What every build and every ANALYZE changes is left out; so are the OIDs.
        let sql = "
            SELECT jsonb_build_object(
                'class', to_jsonb(c) - '{oid,relfilenode,relpages,reltuples,reloptions,relallvisible,relallfrozen}'::text[],
                'index', to_jsonb(i) - '{indexrelid,indcheckxmin}'::text[],
                'attributes', (SELECT jsonb_agg(to_jsonb(a) - 'attrelid' ORDER BY a.attnum) FROM pg_attribute AS a WHERE a.attrelid = c.oid),
                'comment', obj_description(c.oid, 'pg_class'),
                'expressions', pg_get_expr(i.indexprs, i.indrelid), 'predicate', pg_get_expr(i.indpred, i.indrelid),
                'definition', regexp_replace(pg_get_indexdef(c.oid), '\\s*WITH \\([^)]*\\)', ''),
                'tablespace', (SELECT spcname FROM pg_tablespace AS t WHERE t.oid = c.reltablespace),
                'owner', pg_get_userbyid(c.relowner),
                'depends', (SELECT jsonb_agg(jsonb_build_array(d.refclassid::regclass, d.refobjid, d.refobjsubid, d.deptype)
                                             ORDER BY d.refclassid, d.refobjid, d.refobjsubid)
                              FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid)
            )::text, c.reloptions
            FROM pg_class AS c JOIN pg_index AS i ON i.indexrelid = c.oid
            WHERE i.indrelid = $1::text::regclass AND c.relname = $2";
        let row = client.query_one(sql, &[&table, &own[0].name]).await?;
        let mut index: Value = serde_json::from_str(row.get(0))?;
        // Trees of expressions and predicates hold places in the statement that made them; their text is compared.
        if let Some(tree) = index["index"].as_object_mut() {
            tree.remove("indexprs");
            tree.remove("indpred");
        }
        let options: Option<Vec<String>> = row.get(1);
        let options = options.unwrap_or_default();
        let pairs = options.iter().filter_map(|option| option.split_once('='));
        let sql = "
            SELECT jsonb_build_object(
                'class', to_jsonb(c) - '{relpages,reltuples,relallvisible,relallfrozen,relfrozenxid,relminmxid}'::text[],
                'attributes', (SELECT jsonb_agg(to_jsonb(a) ORDER BY a.attnum) FROM pg_attribute AS a WHERE a.attrelid = c.oid),
                'constraints', (SELECT jsonb_agg(pg_get_constraintdef(k.oid) ORDER BY k.conname) FROM pg_constraint AS k WHERE k.conrelid = c.oid),
                'triggers', (SELECT jsonb_agg(pg_get_triggerdef(t.oid) ORDER BY t.tgname) FROM pg_trigger AS t WHERE t.tgrelid = c.oid)
            )::text FROM pg_class AS c WHERE c.oid = $1::text::regclass";
        let of_table = client.query_one(sql, &[&table]).await?;
        Ok(Catalog {
            index,
            options: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            table: serde_json::from_str(of_table.get(0))?,
        })
    }
}

#[track_caller]
fn same_catalog(before: &Catalog, after: &Catalog) {
    assert_eq!(after.index, before.index);
    assert_eq!(after.table, before.table);
    let names = |catalog: &Catalog| catalog.options.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(after), names(before));
}
