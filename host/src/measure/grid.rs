use crate::model::{AccessMethod, CurvePoint};

const EF_SEARCH: [u32; 10] = [10, 20, 40, 64, 100, 150, 200, 300, 400, 800];
/// The largest hnsw.ef_search that pgvector accepts.
const EF_SEARCH_MAX: u32 = 1_000;
const PROBES: [u32; 17] = [1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1_000];

/// The curve goes on to here at least, whatever it shows.
const EF_SEARCH_AT_LEAST: u32 = 200;
const PROBES_AT_LEAST: u32 = 20;
/// Beyond, it ends with the first value that reaches this recall: larger ones cost ever more and gain next to nothing.
const RECALL_ENOUGH: f64 = 0.995;

/// Whether the curve may end with this point.
pub(super) fn is_enough(method: AccessMethod, point: &CurvePoint) -> bool {
    let least = match method {
        AccessMethod::Hnsw => EF_SEARCH_AT_LEAST,
        AccessMethod::Ivfflat => PROBES_AT_LEAST,
    };
    point.value >= least && point.recall >= RECALL_ENOUGH && point.blind_share == 0.0
}

/// The values of the curve, ascending: a grid over the useful range, and the value in force. `lists` bounds the
/// probes of an IVFFlat index; more would visit the same lists.
pub(super) fn values(method: AccessMethod, in_force: Option<u32>, lists: Option<u32>) -> Vec<u32> {
    let mut values = match method {
        AccessMethod::Hnsw => EF_SEARCH.to_vec(),
        AccessMethod::Ivfflat => {
            let lists = lists.unwrap_or(u32::MAX);
            let mut values: Vec<u32> = PROBES.iter().copied().filter(|p| *p < lists).collect();
            if lists <= 2 * PROBES[PROBES.len() - 1] {
                values.push(lists);
            }
            values
        }
    };
    let most = if method == AccessMethod::Hnsw { EF_SEARCH_MAX } else { u32::MAX };
    values.extend(in_force.filter(|value| (1..=most).contains(value)));
    values.sort_unstable();
    values.dedup();
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: AccessMethod, in_force: Option<u32>, lists: Option<u32>, expected: &[u32]) {
        assert_eq!(values(method, in_force, lists), expected);
    }

    #[test]
    fn the_curve_ends_when_it_is_flat() {
        let check = |value, recall, blind_share, expected| {
            let point = CurvePoint { value, recall, blind_share, cost: 1.0 };
            assert_eq!(is_enough(AccessMethod::Hnsw, &point), expected, "{point:?}");
        };
        check(100, 1.0, 0.0, false);
        check(200, 0.99, 0.0, false);
        check(200, 0.996, 0.001, false);
        check(200, 0.996, 0.0, true);
    }

    #[test]
    fn the_grid_holds_the_value_in_force_once() {
        check(AccessMethod::Hnsw, Some(40), None, &EF_SEARCH);
        check(AccessMethod::Hnsw, Some(77), None, &[10, 20, 40, 64, 77, 100, 150, 200, 300, 400, 800]);
        check(AccessMethod::Ivfflat, Some(1), Some(7), &[1, 2, 3, 5, 7]);
        check(AccessMethod::Ivfflat, Some(4), Some(3), &[1, 2, 3, 4]);
        check(AccessMethod::Ivfflat, None, Some(1), &[1]);
        assert_eq!(values(AccessMethod::Ivfflat, None, Some(30_000)).last(), Some(&1_000));
    }
}
