use serde_json::Value;

/// The index that answers a plan (EXPLAIN FORMAT JSON), if an index scan does: the first one from the top.
pub(super) fn answering_index(plan: &Value) -> Option<&str> {
    match plan {
        Value::Array(nodes) => nodes.iter().find_map(answering_index),
        Value::Object(node) => node
            .get("Index Name")
            .and_then(Value::as_str)
            .or_else(|| node.get("Plan").and_then(answering_index))
            .or_else(|| node.get("Plans").and_then(answering_index)),
        _ => None,
    }
}

/// The kind of the plan's top node below LIMIT, for a message.
pub(super) fn describe(plan: &Value) -> String {
    fn deepest(node: &Value) -> Option<&str> {
        let child = node.get("Plans").and_then(|plans| plans.get(0));
        child.and_then(deepest).or_else(|| node.get("Node Type").and_then(Value::as_str))
    }
    plan.get(0).and_then(|p| p.get("Plan")).and_then(deepest).unwrap_or("an unknown plan").to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_index_of_a_plan_is_found() {
        let scan =
            json!([{"Plan": {"Node Type": "Limit", "Plans": [{"Node Type": "Index Scan", "Index Name": "a b"}]}}]);
        assert_eq!(answering_index(&scan), Some("a b"));
        let sort = json!([{"Plan": {"Node Type": "Limit", "Plans": [{"Node Type": "Sort", "Plans": [{"Node Type": "Seq Scan"}]}]}}]);
        assert_eq!(answering_index(&sort), None);
        assert_eq!(describe(&sort), "Seq Scan");
    }
}
