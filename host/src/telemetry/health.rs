use serde_json::{Map, Value, json};

use super::http::Response;
use crate::daemon::api::{Engine, TargetState};

/// Whether the daemon works on anything: 200 where at least one target is led or stood by for, else 503. The document
/// has all of them. One database that is away is no reason to restart the others' daemon.
pub fn readiness(engine: &dyn Engine) -> Response {
    let targets = engine.targets();
    let ready = targets.iter().any(|target| matches!(target.state, TargetState::Leading | TargetState::Standby));
    let told: Map<String, Value> = targets
        .iter()
        .map(|target| {
            let mut document = json!({"state": target.state.name()});
            if let TargetState::Failed { reason } = &target.state {
                document["reason"] = json!(reason);
            }
            (target.name.clone(), document)
        })
        .collect();
    Response::json(if ready { 200 } else { 503 }, &json!({"ready": ready, "targets": told}))
}

/// The specification's HealingMetrics, of one target or by the targets' names.
pub fn healing(engine: &dyn Engine, target: Option<&str>) -> Response {
    let targets = engine.targets();
    match target {
        None => {
            let all: Map<String, Value> =
                targets.iter().map(|target| (target.name.clone(), target.metrics.to_json())).collect();
            Response::json(200, &Value::Object(all))
        }
        Some(name) => match targets.iter().find(|target| target.name == name) {
            Some(target) => Response::json(200, &target.metrics.to_json()),
            None => Response::text(404, "there is no such target\n"),
        },
    }
}
