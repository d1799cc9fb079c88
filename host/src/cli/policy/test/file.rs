use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::case::{Case, CaseContext, WrittenDiagnosis, WrittenIssue, diagnosis};
use super::expect::Expectations;
use crate::components::played::{PlayedDatabase, health_from_json};

/// The issues of one file, or of one list in it: a prioritizer ranks them together.
#[derive(Clone, Debug)]
pub struct CaseGroup {
    pub title: String,
    pub cases: Vec<Case>,
    /// The ids of the issues as a prioritizer should rank them.
    pub order: Option<Vec<String>>,
}

/// What belongs to an issue itself; the rest of a written case is about it.
const ISSUE_FIELDS: [&str; 8] = ["id", "severity", "kind", "details", "index", "table", "method", "evidence"];

/// A written case without its issue.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Around {
    diagnosis: Option<WrittenDiagnosis>,
    context: CaseContext,
    database: Option<PlayedDatabase>,
    expect: Expectations,
}

/// A written list, without its issues.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ListAround {
    context: CaseContext,
    database: Option<PlayedDatabase>,
    expect: ListExpectations,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ListExpectations {
    order: Option<Vec<String>>,
}

/// Reads a file of issues: written cases, or what `pgheal check --json` or `pgheal heal --json` printed.
pub fn read(path: &Path) -> Result<Vec<CaseGroup>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let value: Value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
    let title = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    parse(&title, value).with_context(|| path.display().to_string())
}

fn parse(title: &str, value: Value) -> Result<Vec<CaseGroup>> {
    match value {
        Value::Object(object) if object.contains_key("indexes") => Ok(vec![checked(title, &object)?]),
        Value::Object(object) if object.contains_key("issues_left") => Ok(vec![healed(title, &object)?]),
        Value::Object(object) if object.contains_key("issues") => Ok(vec![written_list(title, object)?]),
        Value::Object(object) => {
            let case = written(title, object, &ListAround::default())?;
            Ok(vec![CaseGroup { title: title.to_owned(), cases: vec![case], order: None }])
        }
        Value::Array(values) => {
            let object = Map::from_iter([("issues".to_owned(), Value::Array(values))]);
            Ok(vec![written_list(title, object)?])
        }
        _ => bail!("it holds no issues"),
    }
}

/// A list of written cases, with what they share.
fn written_list(title: &str, mut object: Map<String, Value>) -> Result<CaseGroup> {
    let Some(Value::Array(issues)) = object.remove("issues") else { bail!("`issues` is no list") };
    let shared: ListAround = serde_json::from_value(Value::Object(object))?;
    let cases = issues
        .into_iter()
        .map(|issue| match issue {
            Value::Object(issue) => written(title, issue, &shared),
            other => bail!("an issue is an object, not {other}"),
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(CaseGroup { title: title.to_owned(), cases, order: shared.expect.order })
}

fn written(title: &str, object: Map<String, Value>, shared: &ListAround) -> Result<Case> {
    let (issue, around): (Map<_, _>, Map<_, _>) =
        object.into_iter().partition(|(name, _)| ISSUE_FIELDS.contains(&name.as_str()));
    let issue: WrittenIssue = serde_json::from_value(Value::Object(issue))?;
    let around: Around = serde_json::from_value(Value::Object(around)).with_context(|| issue.id.clone())?;
    let issue = issue.into_issue().map_err(|reason| anyhow!(reason))?;
    let context = if around.context == CaseContext::default() { shared.context.clone() } else { around.context };
    Ok(Case {
        title: format!("{title}: {}", issue.id),
        diagnosis: diagnosis(issue, around.diagnosis),
        context,
        database: around.database.or_else(|| shared.database.clone()),
        expect: around.expect,
    })
}

/// An issue that pgheal printed; fields that a later version added do not matter.
fn recorded(issue: &Value) -> Result<WrittenIssue> {
    let Value::Object(object) = issue else { bail!("an issue is an object, not {issue}") };
    let known = object.iter().filter(|(name, _)| ISSUE_FIELDS.contains(&name.as_str()));
    let known = known.map(|(name, value)| (name.clone(), value.clone())).collect();
    Ok(serde_json::from_value(Value::Object(known))?)
}

/// The document of `check --json`: each issue with its diagnosis, the index as it was measured, and its target.
fn checked(title: &str, document: &Map<String, Value>) -> Result<CaseGroup> {
    let mut cases = Vec::new();
    for index in list(document, "indexes") {
        let Value::Object(fields) = index else { bail!("an index is an object, not {index}") };
        let diagnoses: Vec<WrittenDiagnosis> = match fields.get("diagnoses") {
            Some(diagnoses) => serde_json::from_value(diagnoses.clone())?,
            None => Vec::new(),
        };
        for issue in list(fields, "issues") {
            let issue = recorded(issue)?.into_issue().map_err(|reason| anyhow!(reason))?;
            let health = health_from_json(index).map_err(|reason| anyhow!(reason))?;
            let found = diagnoses.iter().find(|diagnosis| diagnosis.issue_id == issue.id).cloned();
            cases.push(Case {
                title: format!("{title}: {}", issue.id),
                diagnosis: diagnosis(issue, found),
                context: CaseContext {
                    recall_target: fields.get("recall_target").and_then(Value::as_f64),
                    ..CaseContext::default()
                },
                database: Some(PlayedDatabase { health: vec![health], ..PlayedDatabase::default() }),
                expect: Expectations::default(),
            });
        }
    }
    Ok(CaseGroup { title: title.to_owned(), cases, order: None })
}

/// The document of `heal --json`: the issues that were found.
fn healed(title: &str, document: &Map<String, Value>) -> Result<CaseGroup> {
    let mut cases = Vec::new();
    for issue in list(document, "issues") {
        let issue = recorded(issue)?.into_issue().map_err(|reason| anyhow!(reason))?;
        cases.push(Case {
            title: format!("{title}: {}", issue.id),
            diagnosis: diagnosis(issue, None),
            context: CaseContext::default(),
            database: None,
            expect: Expectations::default(),
        });
    }
    Ok(CaseGroup { title: title.to_owned(), cases, order: None })
}

fn list<'a>(object: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a Value> {
    object.get(name).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::policy::test::sample_issue;
    use crate::cli::report::issue_json;
    use crate::model::RootCause;
    use crate::model::measurement_json;

    fn written_issue() -> Value {
        json!({
            "id": "a", "kind": "orphan_nodes", "details": {"count": 3, "elements_live": 100},
            "index": {"name": "items_idx", "table": "items", "method": "hnsw"},
            "diagnosis": {"cause": "churn", "confidence": 0.5},
            "context": {"settings": {"role": "app"}},
            "database": {"health": [{"size_bytes": 1}]},
            "expect": {"outcome": "success", "calls": ["health", "..."]},
        })
    }

    #[test]
    fn what_check_prints_is_read_as_it_is() {
        let issue = sample_issue();
        let mut index = json!({
            "schema": "public", "name": "items_embedding_idx", "method": "hnsw", "recall_target": 0.9, "size_bytes": 8192,
            "ef_search": 40, "recall_at_10": 0.87, "issues": [issue_json(&issue)],
            "diagnoses": [{"issue_id": issue.id, "cause": "churn", "confidence": 0.7, "explanation": "e", "impact": "i"}],
        });
        index["issues"][0]["a_later_field"] = json!(1);
        let groups =
            parse("f", json!({"server": "s", "indexes": [index, {"issues": [], "verdict": "unknown"}]})).unwrap();
        let [case] = &groups[0].cases[..] else { panic!("{groups:?}") };
        let expected_index = issue.index.clone().unwrap();
        assert_eq!(case.issue(), &issue);
        assert_eq!(case.issue().index.as_ref(), Some(&expected_index));
        assert_eq!((case.diagnosis.cause, case.diagnosis.confidence), (RootCause::Churn, 0.7));
        assert_eq!(case.context.recall_target, Some(0.9));
        let health = &case.database.as_ref().unwrap().health[0];
        assert_eq!(measurement_json(health)["ef_search"], 40);

        let bare = parse("f", issue_json(&issue)).unwrap();
        assert_eq!(bare[0].cases[0].issue(), &issue);
        let healed = json!({"issues": [issue_json(&issue)], "issues_left": [], "repairs": []});
        assert_eq!(parse("f", healed).unwrap()[0].cases[0].issue(), &issue);
    }

    #[test]
    fn written_cases_alone_in_lists_and_with_what_they_share() {
        let alone = parse("f", written_issue()).unwrap();
        assert_eq!(alone[0].cases[0].diagnosis.cause, RootCause::Churn);
        assert_eq!(parse("f", json!([written_issue(), written_issue()])).unwrap()[0].cases.len(), 2);
        let mut plain = written_issue();
        for field in ["database", "context"] {
            plain.as_object_mut().unwrap().remove(field);
        }
        let list = json!({"issues": [plain], "database": {"vacuum_ms": 7}, "expect": {"order": ["a"]},
            "context": {"recall_target": 0.5}});
        let groups = parse("f", list).unwrap();
        assert_eq!(groups[0].order, Some(vec!["a".to_owned()]));
        let case = &groups[0].cases[0];
        assert_eq!(case.database.as_ref().map(|database| database.vacuum_ms), Some(7));
        assert_eq!(case.context.recall_target, Some(0.5));
    }

    #[test]
    fn mistakes_are_named() {
        let check = |change: fn(&mut Value), expected: &str| {
            let mut value = written_issue();
            change(&mut value);
            let error = format!("{:#}", parse("f", value).unwrap_err());
            assert!(error.contains(expected), "{error}");
        };
        check(|v| v["kind"] = json!("bad_mood"), "bad_mood");
        check(|v| v["details"] = json!({"count": 3}), "elements_live");
        check(|v| v["details"] = Value::Null, "`details`");
        check(|v| v["expct"] = json!({}), "expct");
        check(|v| v["expect"]["outcom"] = json!("x"), "outcom");
        check(|v| v["expect"]["outcome"] = json!("great"), "great");
        check(|v| v["index"] = json!("public.items_idx"), "`method`");
        check(|v| v["database"]["helth"] = json!([]), "helth");
        check(|v| *v = json!(3), "no issues");
    }
}
