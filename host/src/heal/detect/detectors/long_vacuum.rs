use super::super::{Observed, Thresholds};
use super::{Finding, percent};
use crate::model::{Evidence, IssueKind, Severity, Structure};

/// Many elements whose rows are dead: they use up ef_search, so that queries return fewer rows, and the vacuum that
/// removes them repairs the graph around each and takes long. Medium.
pub(super) fn detect(observed: &Observed<'_>, thresholds: &Thresholds) -> Option<Finding> {
    let Structure::Hnsw(hnsw) = &observed.health.structure else { return None };
    let dead_rows = hnsw.elements_awaiting_vacuum.get()?;
    let share = dead_rows as f64 / hnsw.elements_live.get()?.max(1) as f64;
    if dead_rows < thresholds.awaiting_vacuum_least || share <= thresholds.awaiting_vacuum_share {
        return None;
    }
    let mut evidence =
        vec![Evidence::new("elements_awaiting_vacuum", dead_rows), Evidence::new("share_of_elements", percent(share))];
    if let Some(rows) = observed.health.search.rows_returned_mean.get() {
        evidence.push(Evidence::new("rows_returned_mean", format!("{rows:.2} of {}", observed.health.search.k)));
    }
    let estimated_ms = observed.vacuum_ms_per_element.map(|ms| (ms * dead_rows as f64).round() as u64);
    Some(Finding { severity: Severity::Medium, kind: IssueKind::LongVacuum { dead_rows, estimated_ms }, evidence })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{hnsw_health, hnsw_of, index};
    use super::*;
    use crate::model::{AccessMethod, Measured};

    fn check(awaiting: Measured<u64>, ms_per_element: Option<f64>, expected: Option<(u64, Option<u64>)>) {
        let index = index(AccessMethod::Hnsw);
        let mut health = hnsw_health();
        hnsw_of(&mut health).elements_awaiting_vacuum = awaiting;
        let mut observed = Observed::new("db", &index, &health);
        observed.vacuum_ms_per_element = ms_per_element;
        let found = detect(&observed, &Thresholds::default()).map(|finding| match finding.kind {
            IssueKind::LongVacuum { dead_rows, estimated_ms } => (dead_rows, estimated_ms),
            other => panic!("{other:?}"),
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn fires_on_a_large_share() {
        check(Measured::Known(4_000), None, None);
        check(Measured::Known(4_001), None, Some((4_001, None)));
        check(Measured::Known(8_000), Some(0.5), Some((8_000, Some(4_000))));
        check(Measured::unknown("not looked up"), None, None);
    }
}
