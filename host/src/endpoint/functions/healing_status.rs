use async_trait::async_trait;
use serde_json::{Value as Json, json};

use crate::daemon::api::{EffectiveSetting, TargetState, TargetView};
use crate::endpoint::context::Context;
use crate::endpoint::sql::{Argument, Function, Kind, Refused, Value, code, iso_text, micros_of};

/// `ruvector_dag_healing_status()`: how healing goes in one target.
pub(super) struct HealingStatus;

#[async_trait]
impl Function for HealingStatus {
    fn schema(&self) -> &'static str {
        "pgheal"
    }

    fn name(&self) -> &'static str {
        "ruvector_dag_healing_status"
    }

    fn arguments(&self) -> Vec<Argument> {
        Vec::new()
    }

    fn result(&self) -> Kind {
        Kind::Jsonb
    }

    async fn call(&self, context: &Context, _arguments: Vec<Value>) -> Result<Value, Refused> {
        let name = context.target()?;
        let settings = context.engine.settings(&name, &context.settings)?;
        let targets = context.engine.targets();
        let target = targets.iter().find(|target| target.name == name);
        let target = target.ok_or_else(|| Refused::new(code::UNKNOWN_OBJECT, format!("there is no target {name}")))?;
        Ok(Value::Json(status(target, &settings)))
    }
}

fn status(target: &TargetView, settings: &[EffectiveSetting]) -> Json {
    let count = |verdict: &str| target.indexes.iter().filter(|index| index.verdict == verdict).count();
    let time = |time| iso_text(micros_of(time));
    let last_cycle = target.last_cycle.as_ref().map(|cycle| {
        let failed = |(index, reason): &(String, String)| json!({"index": index, "reason": reason});
        json!({
            "ended_at": time(cycle.ended_at),
            "duration_ms": cycle.duration.as_millis() as u64,
            "detected_issues": cycle.detected_issues,
            "repairs_initiated": cycle.repairs_initiated,
            "failed_checks": cycle.failed_checks.iter().map(failed).collect::<Vec<Json>>(),
        })
    });
    let active: Vec<Json> = target
        .active_repairs
        .iter()
        .map(|repair| {
            json!({
                "ticket": repair.ticket,
                "issue_id": repair.issue_id,
                "index": repair.index,
                "started_at": time(repair.started_at),
                "progress": repair.progress,
            })
        })
        .collect();
    let settings: Vec<Json> = settings
        .iter()
        .map(|setting| {
            json!({
                "name": setting.name,
                "value": setting.value,
                "source": setting.source,
                "refused": setting.refused,
            })
        })
        .collect();
    let mut status = json!({
        "target": target.name,
        "state": target.state.name(),
        "state_since": time(target.state_since),
        "auto_heal_enabled": target.auto_heal_enabled,
        "last_cycle": last_cycle,
        "indexes": {
            "healthy": count("healthy"),
            "degraded": count("degraded"),
            "critical": count("critical"),
            "unknown": count("unknown"),
        },
        "active_repairs": active,
        "metrics": target.metrics.to_json(),
        "settings": settings,
        "version": env!("CARGO_PKG_VERSION"),
    });
    if let TargetState::Failed { reason } = &target.state {
        status["state_reason"] = reason.as_str().into();
    }
    status
}
