use anyhow::Result;
use pgheal_test_server::{Client, execute};

use super::played::{Played, refused};
use crate::cases::support::{fill_table, grouped_rows, pgheal};

const PAGES: &str = "SELECT * FROM pgheal.read_index_pages('docs_idx', 0, 2)";

/// The daemon's role, no superuser, measures the same as a superuser does: by pages.
#[tokio::test]
async fn a_role_without_superuser_measures_by_pages() -> Result<()> {
    let played = Played::on_shared_server("install_pages").await?;
    let world = &played.world;
    fill_table(world, "docs", &grouped_rows(1_500, 1)).await?;
    world
        .sql(
            "CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops);
             CREATE INDEX docs_note ON docs (note);
             CREATE TABLE quiet (embedding vector(3)); INSERT INTO quiet VALUES ('[1,2,3]');
             CREATE INDEX quiet_idx ON quiet USING ivfflat (embedding vector_l2_ops) WITH (lists = 1);
             CREATE ROLE install_pages_daemon LOGIN",
        )
        .await?;
    let url = world.url_as("install_pages_daemon");
    world.sql("GRANT SELECT ON docs TO install_pages_daemon").await?;
    let blind = pgheal(&["check", &url, "--index", "docs_idx", "--json"]).await?;
    assert!(blind.stdout.contains("pgheal install --daemon-role install_pages_daemon"), "{blind:#?}");

    let run = played.install(&["--daemon-role", "install_pages_daemon"]).await?;
    run.expect(0);
    assert!(!run.stdout.contains("no page reader"), "{run:#?}");
    let seen = pgheal(&["check", &url, "--index", "docs_idx", "--json"]).await?.index("docs_idx")?;
    let superusers = pgheal(&["check", &world.url(), "--index", "docs_idx", "--json"]).await?.index("docs_idx")?;
    assert!(!seen.to_string().contains("needs page access"), "{seen:#}");
    for field in ["elements_live", "elements_reachable", "orphan_count", "connectivity_score", "layer_distribution"] {
        assert!(!seen[field].is_null(), "{field}: {seen:#}");
        assert_eq!(seen[field], superusers[field], "{field}");
    }

    // The pages are those that pageinspect reads.
    let client = Client::connect(&url).await?;
    let rows = client.query(PAGES, &[]).await?;
    for (n, row) in rows.iter().enumerate() {
        let expected = world.client.query_one("SELECT get_raw_page('docs_idx', $1)", &[&(n as i64)]).await?;
        assert_eq!(row.get::<_, i64>(0), n as i64);
        assert_eq!(row.get::<_, &[u8]>(1), expected.get::<_, &[u8]>(0));
    }
    assert_eq!(rows.len(), 2);

    for (arguments, code, said) in [
        ("'docs_note', 0, 1", "42809", "no hnsw or ivfflat index"),
        ("'docs', 0, 1", "42809", "no hnsw or ivfflat index"),
        ("'pg_authid', 0, 1", "42809", "no hnsw or ivfflat index"),
        ("NULL, 0, 1", "42809", "no hnsw or ivfflat index"),
        ("'docs_idx', -1, 1", "22023", "no block"),
        ("'docs_idx', 0, 1000000", "22023", "at once"),
        ("'docs_idx', 9999999, 1", "22023", "out of range"),
        ("'quiet_idx', 0, 1", "42501", "may not read table"),
    ] {
        let sql = format!("SELECT * FROM pgheal.read_index_pages({arguments})");
        refused(client.execute(&sql, &[]).await, code, said);
    }
    refused(client.execute("SELECT pgheal.readable_index('docs_idx', 0, 1)", &[]).await, "42501", "permission denied");
    refused(client.execute("SELECT pgheal.get_raw_page('docs_idx', 0)", &[]).await, "42883", "does not exist");

    // Row security hides rows from roles, and pages would show them.
    world.sql("ALTER TABLE docs ENABLE ROW LEVEL SECURITY").await?;
    refused(client.execute(PAGES, &[]).await, "42501", "row security");
    world.sql("ALTER TABLE docs OWNER TO install_pages_daemon").await?;
    client.execute(PAGES, &[]).await?;
    world.sql("ALTER TABLE docs FORCE ROW LEVEL SECURITY").await?;
    refused(client.execute(PAGES, &[]).await, "42501", "row security");
    world.sql("ALTER TABLE docs NO FORCE ROW LEVEL SECURITY; ALTER TABLE docs OWNER TO postgres; ALTER TABLE docs DISABLE ROW LEVEL SECURITY").await?;

    // Nor do the other roles get pages, nor does a superuser's session in a role that may not read.
    for roles in ["pgheal_reader", "pgheal_operator"] {
        let other = played.login(&roles[7..], roles).await?;
        world.sql(&format!("GRANT SELECT ON docs TO install_pages_{}", &roles[7..])).await?;
        refused(other.execute(PAGES, &[]).await, "42501", "permission denied");
    }
    world.sql("CREATE ROLE install_pages_lesser; GRANT pgheal_admin TO install_pages_lesser").await?;
    execute(&world.client, "SET ROLE install_pages_lesser").await?;
    refused(world.client.execute(PAGES, &[]).await, "42501", "role install_pages_lesser may not read");
    execute(&world.client, "RESET ROLE").await?;
    Ok(())
}
