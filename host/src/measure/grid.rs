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

/// How many times as large as its first value a chunk beyond the least may become.
const CHUNK_FACTOR: u32 = 2;

fn least(method: AccessMethod) -> u32 {
    match method {
        AccessMethod::Hnsw => EF_SEARCH_AT_LEAST,
        AccessMethod::Ivfflat => PROBES_AT_LEAST,
    }
}

/// Whether the curve may end with this point.
pub(super) fn is_enough(method: AccessMethod, point: &CurvePoint) -> bool {
    point.value >= least(method) && point.recall >= RECALL_ENOUGH && point.blind_share == 0.0
}

/// The values that are searched together, which is cheaper: all that the curve needs in any case, and then as many as
/// do not waste much where the first of them ends it.
pub(super) fn chunks(method: AccessMethod, values: &[u32]) -> impl Iterator<Item = &[u32]> {
    let mut rest = values;
    std::iter::from_fn(move || {
        let limit = least(method).max(rest.first()?.saturating_mul(CHUNK_FACTOR));
        let (chunk, after) = rest.split_at(rest.partition_point(|value| *value <= limit));
        rest = after;
        Some(chunk)
    })
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
    fn values_are_searched_in_chunks() {
        let check = |method, values: &[u32], expected: &[&[u32]]| {
            assert_eq!(chunks(method, values).collect::<Vec<_>>(), expected);
        };
        let start: &[u32] = &[10, 20, 40, 64, 100, 150, 200];
        check(AccessMethod::Hnsw, &EF_SEARCH, &[start, &[300, 400], &[800]]);
        check(AccessMethod::Hnsw, &[900], &[&[900]]);
        check(AccessMethod::Hnsw, &[], &[]);
        check(AccessMethod::Ivfflat, &[1, 20, 30, 50, 75, 100, 700], &[&[1, 20], &[30, 50], &[75, 100], &[700]]);
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
