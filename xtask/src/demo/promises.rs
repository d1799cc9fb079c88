use pgheal_test_server::scenarios::CHURNED;
use serde_json::Value;

use super::Shown;
use super::report::{outcome, text};

const RECALL_TARGET: f64 = 0.95;
const MAX_BLIND_SHARE: f64 = 0.005;
const SURGERY: [&str; 2] = ["orphan_reconnection", "partial_rebalance"];
const REBUILD: &str = "index_rebuild";

/// What pgheal promises and did not keep.
pub fn broken(shown: &[Shown]) -> Vec<String> {
    let mut broken = Vec::new();
    for index in shown {
        if index.scenario == CHURNED { left_alone(index, &mut broken) } else { healed(index, &mut broken) }
    }
    for (what, kinds) in [("surgically", &SURGERY[..]), ("by a rebuild", &[REBUILD][..])] {
        if !shown.iter().any(|index| index.before["method"] == "hnsw" && healed_by(&index.repairs, kinds)) {
            broken.push(format!("no HNSW index was healed {what}"));
        }
    }
    broken
}

fn healed(index: &Shown, broken: &mut Vec<String>) {
    let name = index.scenario.index;
    if text(&index.before["verdict"]) == "healthy" {
        broken.push(format!("{name} was not found to be sick"));
    }
    // An unknown figure is not a kept promise.
    if !index.after["recall_at_10"].as_f64().is_some_and(|recall| recall >= RECALL_TARGET) {
        broken.push(format!("{name}: recall {} after, below {RECALL_TARGET}", index.after["recall_at_10"]));
    }
    if !index.after["blind_share"].as_f64().is_some_and(|share| share <= MAX_BLIND_SHARE) {
        broken.push(format!("{name}: blind share {} after, above {MAX_BLIND_SHARE}", index.after["blind_share"]));
    }
}

fn left_alone(index: &Shown, broken: &mut Vec<String>) {
    let name = index.scenario.index;
    if index.filenode_before != index.filenode_after {
        broken.push(format!("{name} is healthy, and its file was changed"));
    }
    if !index.repairs.is_empty() {
        broken.push(format!("{name} is healthy, and was repaired"));
    }
}

fn healed_by(repairs: &[Value], kinds: &[&str]) -> bool {
    repairs.iter().any(|repair| outcome(repair) == "healed" && kinds.contains(&text(&repair["result"]["repair_type"])))
}

#[cfg(test)]
mod tests {
    use pgheal_test_server::scenarios::{BLIND_SPOTS, Scenario, TOO_FEW_LINKS};
    use serde_json::json;

    use super::*;

    fn shown(scenario: Scenario, recall: f64, repair: Option<&str>) -> Shown {
        let repairs = repair.map(|kind| json!({"outcome": "healed", "result": {"repair_type": kind}}));
        Shown {
            scenario,
            before: json!({"method": "hnsw", "verdict": "critical"}),
            after: json!({"recall_at_10": recall, "blind_share": 0.001}),
            repairs: repairs.into_iter().collect(),
            filenode_before: "1".to_owned(),
            filenode_after: "1".to_owned(),
        }
    }

    #[test]
    fn kept_promises_leave_nothing() {
        let all = [
            shown(BLIND_SPOTS, 0.99, Some("orphan_reconnection")),
            shown(TOO_FEW_LINKS, 0.99, Some(REBUILD)),
            shown(CHURNED, 0.99, None),
        ];
        assert_eq!(broken(&all), Vec::<String>::new());
    }

    #[test]
    fn each_broken_promise_is_named() {
        let all = [shown(BLIND_SPOTS, 0.94, Some(REBUILD)), shown(CHURNED, 0.99, Some(REBUILD))];
        let broken = broken(&all);
        assert_eq!(broken.len(), 3, "{broken:?}");
        let mut unknown = shown(BLIND_SPOTS, 0.99, None);
        unknown.after["blind_share"] = Value::Null;
        let mut found = Vec::new();
        healed(&unknown, &mut found);
        assert_eq!(found.len(), 1);
    }
}
