use std::sync::Arc;

use serde_json::{Value, json};

use super::super::RecordingHost;
use super::*;
use crate::model::AccessMethod;

fn index() -> IndexName {
    IndexName {
        oid: 1,
        schema: "public".into(),
        name: "items_idx".into(),
        table_oid: 2,
        table_schema: "public".into(),
        table: "items".into(),
        method: AccessMethod::Hnsw,
    }
}

fn played(script: Value) -> PlayedHost {
    PlayedHost::new(serde_json::from_value(script).unwrap())
}

async fn recall(host: &PlayedHost) -> Option<f64> {
    host.health(&index()).await.unwrap().search.recall.get()
}

#[tokio::test]
async fn sql_is_answered_by_its_text_and_parameters() {
    let host = played(json!({"queries": [
        {"sql": "SELECT a FROM t WHERE b = $1", "params": [7], "columns": ["a"], "rows": [[null], [true], [1.5], ["x"]]},
        {"sql": "UPDATE t SET a = 1", "changes": 3},
        {"sql": "SELECT nothing", "error": {"database": ["42703", "column \"nothing\" does not exist"]}},
    ]}));
    let rows = host.query("SELECT a\n  FROM t WHERE b = $1", vec![SqlValue::Int64(7)]).await.unwrap();
    let expected = [SqlValue::Null, SqlValue::Boolean(true), SqlValue::Float64(1.5), SqlValue::Text("x".into())];
    assert_eq!(rows.rows.concat(), expected);
    let other = host.query("SELECT a FROM t WHERE b = $1", vec![SqlValue::Int64(8)]).await;
    assert!(matches!(other, Err(HostError::Unknown(_))), "{other:?}");
    assert_eq!(host.execute("UPDATE t SET a = 1", vec![]).await, Ok(3));
    let error = host.query("SELECT nothing", vec![]).await.unwrap_err();
    assert!(matches!(error, HostError::Database { sqlstate, .. } if sqlstate == "42703"));
}

#[tokio::test]
async fn the_health_goes_on_with_each_change_and_stays_in_the_end() {
    let health = |recall: f64| json!({"size_bytes": 1, "recall_at_10": recall});
    let host = played(json!({"health": [health(0.5), health(0.7), health(0.9)]}));
    assert_eq!(recall(&host).await, Some(0.5));
    host.vacuum(&index()).await.unwrap();
    assert_eq!(recall(&host).await, Some(0.7));
    host.reindex_concurrently(&index()).await.unwrap();
    host.vacuum(&index()).await.unwrap();
    assert_eq!(recall(&host).await, Some(0.9));
    assert!(played(json!({})).health(&index()).await.is_err());
}

#[tokio::test]
async fn a_setting_is_in_force_with_the_curves_recall() {
    let host = played(json!({"health": [{"size_bytes": 1, "recall_at_10": 0.8, "ef_search": 40,
        "curve": [{"value": 80, "recall": 0.96, "blind_share": 0.0, "cost": 9.0}]}]}));
    host.set_parameter("hnsw.ef_search", "80", SettingScope::Database).await.unwrap();
    assert_eq!(recall(&host).await, Some(0.96));
    host.set_parameter("hnsw.ef_search", "81", SettingScope::Database).await.unwrap();
    assert_eq!(recall(&host).await, None);
    assert!(host.set_parameter("hnsw.ef_search", "many", SettingScope::Database).await.is_err());
}

#[tokio::test]
async fn only_a_build_that_passed_the_gate_is_swapped() {
    let build =
        |recall: f64, passed: bool| json!({"health": {"size_bytes": 9, "recall_at_10": recall}, "gate_passed": passed});
    let host = played(json!({
        "health": [{"size_bytes": 1, "recall_at_10": 0.5}],
        "builds": [build(0.4, false), build(0.9, true)],
    }));
    let first = host.build_beside(&index(), BuildOptions::default()).await.unwrap();
    assert!(!host.compare(first.id).await.unwrap().gate_passed);
    assert!(matches!(host.swap(first.id).await, Err(HostError::GateFailed(_))));
    host.discard(first.id).await.unwrap();
    assert!(host.compare(first.id).await.is_err());
    let second = host.build_beside(&index(), BuildOptions::default()).await.unwrap();
    assert!(matches!(host.swap(second.id).await, Err(HostError::GateFailed(_))));
    host.compare(second.id).await.unwrap();
    host.swap(second.id).await.unwrap();
    assert_eq!(recall(&host).await, Some(0.9));
    assert!(host.build_beside(&index(), BuildOptions::default()).await.is_err());
}

#[tokio::test]
async fn what_the_script_refuses_is_refused_and_everything_is_written_down() {
    let host = played(json!({"refuse": {"set_parameter": {"denied": "somebody else set it"}}, "vacuum_ms": 5}));
    let host = RecordingHost::new(Arc::new(host));
    let refused = host.set_parameter("hnsw.ef_search", "80", SettingScope::Role("app".into())).await;
    assert_eq!(refused, Err(HostError::Denied("somebody else set it".into())));
    host.vacuum(&index()).await.unwrap();
    assert_eq!(host.past_duration_ms("x").await, None);
    let lines: Vec<String> = host.take().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "set_parameter hnsw.ef_search=80 role app -> not granted: somebody else set it",
            "vacuum -> 5 ms",
            "past_duration_ms x -> none",
        ]
    );
    assert!(host.take().is_empty());
    assert!(serde_json::from_value::<PlayedDatabase>(json!({"refuse": {"vacum": {"denied": "x"}}})).is_err());
}
