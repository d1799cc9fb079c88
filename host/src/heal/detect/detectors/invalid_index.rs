use super::super::{Observed, Thresholds};
use super::Finding;
use crate::model::{Evidence, IndexDefinition, IssueKind, Severity};

/// What `REINDEX CONCURRENTLY` appends to the name of an index that it did not finish, or did not drop.
const REINDEX_SUFFIXES: [&str; 2] = ["_ccnew", "_ccold"];
/// What pgheal puts into the names of the indexes that it builds, and of the old ones that it keeps for a while;
/// two numbers follow, the first in hexadecimal.
const OWN_MARKS: [&str; 2] = ["_pgheal_old_", "_pgheal_"];

/// An index that no query uses and nobody is building. A leftover by its name: Low, it costs space and every write;
/// any other: High, since queries go without the index that somebody wanted.
pub(super) fn detect(observed: &Observed<'_>, _: &Thresholds) -> Option<Finding> {
    let index = observed.index;
    if (index.is_valid && index.is_ready && index.is_live) || index.being_built {
        return None;
    }
    let state = state(index);
    let evidence = vec![Evidence::new("state", state), Evidence::new("size_bytes", index.size_bytes)];
    Some(match leftover(&index.name.name) {
        Some(origin) => Finding {
            severity: Severity::Low,
            kind: IssueKind::LeftoverIndex { reason: format!("{origin}; it is {state}"), size_bytes: index.size_bytes },
            evidence,
        },
        None => Finding {
            severity: Severity::High,
            kind: IssueKind::InvalidIndex { reason: format!("the index is {state}: queries do not use it") },
            evidence,
        },
    })
}

fn state(index: &IndexDefinition) -> &'static str {
    match (index.is_live, index.is_ready) {
        (false, _) => "being dropped",
        (true, false) => "not ready (its build did not finish)",
        (true, true) => "not valid",
    }
}

fn leftover(name: &str) -> Option<&'static str> {
    if OWN_MARKS.iter().any(|mark| is_own(name, mark)) {
        return Some("left by a repair of pgheal");
    }
    // PostgreSQL numbers a second one: docs_idx_ccnew1.
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    REINDEX_SUFFIXES.iter().any(|suffix| stem.ends_with(suffix)).then_some("left by REINDEX CONCURRENTLY")
}

fn is_own(name: &str, mark: &str) -> bool {
    let Some((_, numbers)) = name.rsplit_once(mark) else { return false };
    numbers.split_once('_').is_some_and(|(repair, number)| {
        !repair.is_empty()
            && !number.is_empty()
            && repair.bytes().all(|b| b.is_ascii_hexdigit())
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{hnsw_health, index};
    use super::*;
    use crate::model::AccessMethod;

    fn check(name: &str, flags: [bool; 4], expected: Option<&str>) {
        let mut index = index(AccessMethod::Hnsw);
        index.name.name = name.to_owned();
        [index.is_valid, index.is_ready, index.is_live, index.being_built] = flags;
        let found = detect(&Observed::new("db", &index, &hnsw_health()), &Thresholds::default());
        assert_eq!(found.map(|f| f.kind.name()), expected, "{name} {flags:?}");
    }

    #[test]
    fn fires_on_what_no_query_uses_and_nobody_builds() {
        check("docs_idx", [true, true, true, false], None);
        check("docs_idx", [false, false, true, true], None);
        check("docs_idx", [false, true, true, false], Some("invalid_index"));
        check("docs_idx", [false, true, false, false], Some("invalid_index"));
        check("docs_idx_ccnew", [false, true, true, false], Some("leftover_index"));
        check("docs_idx_ccold3", [false, true, true, false], Some("leftover_index"));
        check("docs_idx_pgheal_2a_1", [false, true, true, false], Some("leftover_index"));
        check("docs_idx_pgheal_old_ff_3", [false, true, true, false], Some("leftover_index"));
        check("docs_pgheal_notes_idx", [false, true, true, false], Some("invalid_index"));
        check("docs_idx_ccnew", [true, true, true, false], None);
    }
}
