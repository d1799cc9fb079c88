use std::sync::Arc;

use super::*;
use crate::daemon::api::Role;
use crate::endpoint::played::{Played, context, run, told};

async fn check(sql: &str, expected: Result<&str, &str>) {
    let context = context(Arc::new(Played::default()), None, Role::Reader, false);
    let found = run(&context, sql, &[Value::text("shop"), Value::Int(1)]).await;
    let found = found.map(|answer| told(&answer)).map_err(|refused| refused.code);
    assert_eq!(found.as_deref().map_err(|code| *code), expected, "{sql}");
}

#[tokio::test]
async fn views_are_filtered_sorted_and_cut() {
    check("SELECT target, index_name FROM pgheal.indexes", Ok("shop|a\nshop|b\nblog|c")).await;
    check("select index_name from indexes where target = 'shop' and verdict = 'healthy'", Ok("a")).await;
    check("SELECT i.index_name AS n FROM pgheal.indexes AS i WHERE i.target = $1 ORDER BY n DESC", Ok("b\na")).await;
    check("SELECT index_name FROM pgheal.indexes ORDER BY 1 DESC LIMIT $2 OFFSET 1", Ok("b")).await;
    check("SELECT index_name FROM pgheal.indexes ORDER BY recall_p5, index_name LIMIT ALL", Ok("a\nb\nc")).await;
    check("SELECT count(*) FROM pgheal.indexes WHERE recall_at_10 >= 0.9", Ok("3")).await;
    check("SELECT issue_id FROM pgheal.issues WHERE severity IN ('high') AND target = 'blog'", Ok("stale_training-2"))
        .await;
    check("SELECT evidence->0->>'value' FROM pgheal.issues LIMIT 1", Ok("200 h")).await;
    check("SELECT duration_ms, outcome FROM pgheal.history WHERE target = 'shop'", Ok("1500|NULL")).await;
    check("SELECT target, state, reason FROM pgheal.targets WHERE reason IS NOT NULL", Ok("blog|failed|gone")).await;
    check("SELECT last_check_time FROM pgheal.metrics LIMIT 1", Ok("1970-01-01 00:00:01+00")).await;
    check("SELECT name, value, source FROM pgheal.settings LIMIT 1", Ok("ruvector.dag_healing_threshold|0.3|default"))
        .await;
    check("SELECT * FROM pgheal.policies", Ok("")).await;
    check("SELECT * FROM pgheal.active_repairs", Ok("")).await;
    check("SELECT table_name FROM information_schema.tables WHERE table_name = 'issues'", Ok("issues")).await;
    check("SELECT data_type FROM information_schema.columns WHERE column_name = 'evidence'", Ok("jsonb")).await;
}

#[tokio::test]
async fn expressions_without_a_table_are_calculated() {
    check("SELECT 1, 'a' || 'b', NULL, true, -2.5", Ok("1|ab|NULL|t|-2.5")).await;
    check("SELECT '7'::int4 = 7, 'on'::boolean AND NOT false", Ok("t|t")).await;
    check("SELECT current_database(), current_user, current_schema()", Ok("pgheal|ann|pgheal")).await;
    check("SELECT pg_catalog.current_setting('search_path')", Ok("pgheal, public")).await;
    check("SELECT current_setting('no.such', true)", Ok("NULL")).await;
    check("SELECT 1 WHERE false", Ok("")).await;
    check("SELECT typname, oid::regtype::text FROM pg_type t WHERE t.oid = to_regtype('jsonb')", Ok("jsonb|jsonb"))
        .await;
    check("SELECT typarray, 20::pg_catalog.regtype FROM pg_catalog.pg_type WHERE typname = 'int8'", Ok("1016|bigint"))
        .await;
    check("SELECT oid FROM pg_type WHERE oid = pg_catalog.to_regtype('vector')", Ok("")).await;
    check(
        "SELECT set_config('bytea_output','hex',false) FROM pg_show_all_settings() WHERE name = 'bytea_output'",
        Ok("hex"),
    )
    .await;
}

#[tokio::test]
async fn mistakes_have_their_sqlstate() {
    check("SELECT nothing FROM pgheal.issues", Err("42703")).await;
    check("SELECT * FROM pgheal.nothing", Err("42P01")).await;
    check("SELECT * FROM pg_catalog.pg_class", Err("0A000")).await;
    check("SELECT 'ruvector_dag_repair'::pg_catalog.regproc::pg_catalog.oid", Err("0A000")).await;
    check("SELECT 'x'::no_such_type", Err("42704")).await;
    check("SELECT nothing()", Err("42883")).await;
    check("SELECT * FROM nothing()", Err("42883")).await;
    check("SELECT *", Err("42601")).await;
    check("SELECT 1 +", Err("42601")).await;
    check("SELECT 1 FROM pgheal.issues JOIN pgheal.history ON true", Err("0A000")).await;
    check("SELECT kind, count(*) FROM pgheal.issues GROUP BY kind", Err("0A000")).await;
    check("SELECT (SELECT 1)", Err("0A000")).await;
    check("SELECT 1 UNION SELECT 2", Err("0A000")).await;
    check("SELECT 1 FROM pgheal.issues WHERE kind = 7", Err("42883")).await;
    check("SELECT 1 FROM pgheal.issues WHERE detected_at = 'yesterday'", Err("22P02")).await;
    check("SELECT 1 LIMIT -1", Err("2201W")).await;
    check("SELECT index_name FROM pgheal.indexes ORDER BY 9", Err("42P10")).await;
    check("INSERT INTO pgheal.issues VALUES (1)", Err("0A000")).await;
    check("EXPLODE", Err("42601")).await;
    check(&format!("SELECT {}", vec!["true"; 300].join(" AND ")), Err("54001")).await;
}

#[tokio::test]
async fn records_are_printed_as_postgres_does() {
    let check = |row: Row, expected: &str| assert_eq!(record(&row), expected);
    check(vec![Value::Int(1), Value::Null, Value::text("a b")], "(1,,\"a b\")");
    check(vec![Value::text("say \"hi\""), Value::text("")], "(\"say \"\"hi\"\"\",\"\")");
}
