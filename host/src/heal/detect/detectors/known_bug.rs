use super::super::{Observed, Thresholds};
use super::Finding;
use crate::model::{AccessMethod, Evidence, IssueKind, Severity};

struct Bug {
    fixed_in: (u32, u32, u32),
    method: AccessMethod,
    what: &'static str,
}

/// From pgvector's changelog, the worst first.
const BUGS: [Bug; 3] = [
    Bug { fixed_in: (0, 8, 3), method: AccessMethod::Hnsw, what: "vacuum can corrupt an hnsw index" },
    Bug {
        fixed_in: (0, 8, 4),
        method: AccessMethod::Hnsw,
        what: "vacuum of an hnsw index can fail with \"hnsw graph not repaired\", and inserts meanwhile can fail",
    },
    Bug {
        fixed_in: (0, 8, 2),
        method: AccessMethod::Hnsw,
        what: "a parallel build of an hnsw index can overflow a buffer",
    },
];

/// The installed pgvector has a bug that touches this index. Low: advice; whether it struck shows in other issues.
pub(super) fn detect(observed: &Observed<'_>, _: &Thresholds) -> Option<Finding> {
    let text = observed.pgvector_version?;
    let version = parse(text)?;
    let method = observed.index.name.method;
    let bugs: Vec<&Bug> = BUGS.iter().filter(|bug| bug.method == method && version < bug.fixed_in).collect();
    let newest = bugs.iter().map(|bug| bug.fixed_in).max()?;
    let what: Vec<&str> = bugs.iter().map(|bug| bug.what).collect();
    let (major, minor, patch) = newest;
    Some(Finding {
        severity: Severity::Low,
        kind: IssueKind::KnownBug {
            pgvector_version: text.to_owned(),
            advice: format!(
                "update pgvector to {major}.{minor}.{patch} or later (the package, then ALTER EXTENSION vector UPDATE): {}",
                what.join("; ")
            ),
        },
        evidence: vec![Evidence::new("pgvector_version", text)],
    })
}

fn parse(version: &str) -> Option<(u32, u32, u32)> {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    let parsed = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
    Some(parsed)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{hnsw_health, index};
    use super::*;

    fn check(version: Option<&str>, method: AccessMethod, expected: Option<&str>) {
        let (index, health) = (index(method), hnsw_health());
        let mut observed = Observed::new("db", &index, &health);
        observed.pgvector_version = version;
        let advice = detect(&observed, &Thresholds::default()).map(|finding| match finding.kind {
            IssueKind::KnownBug { advice, .. } => advice,
            other => panic!("{other:?}"),
        });
        match expected {
            Some(part) => assert!(advice.as_deref().is_some_and(|a| a.contains(part)), "{version:?}: {advice:?}"),
            None => assert_eq!(advice, None, "{version:?}"),
        }
    }

    #[test]
    fn fires_below_the_fixed_version() {
        check(Some("0.8.6"), AccessMethod::Hnsw, None);
        check(Some("0.8.4"), AccessMethod::Hnsw, None);
        check(Some("0.10.0"), AccessMethod::Hnsw, None);
        check(Some("1.0"), AccessMethod::Hnsw, None);
        check(Some("0.8.3"), AccessMethod::Hnsw, Some("hnsw graph not repaired"));
        check(Some("0.8.2"), AccessMethod::Hnsw, Some("corrupt"));
        check(Some("0.5.1"), AccessMethod::Hnsw, Some("0.8.4 or later"));
        check(Some("0.5.1"), AccessMethod::Ivfflat, None);
        check(Some("unreadable"), AccessMethod::Hnsw, None);
        check(None, AccessMethod::Hnsw, None);
    }
}
