use crate::model::AccessMethod;

const EF_SEARCH: [u32; 10] = [10, 20, 40, 64, 100, 150, 200, 300, 400, 800];
/// The largest hnsw.ef_search that pgvector accepts.
const EF_SEARCH_MAX: u32 = 1_000;
const PROBES: [u32; 17] = [1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1_000];

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
    fn the_grid_holds_the_value_in_force_once() {
        check(AccessMethod::Hnsw, Some(40), None, &EF_SEARCH);
        check(AccessMethod::Hnsw, Some(77), None, &[10, 20, 40, 64, 77, 100, 150, 200, 300, 400, 800]);
        check(AccessMethod::Ivfflat, Some(1), Some(7), &[1, 2, 3, 5, 7]);
        check(AccessMethod::Ivfflat, Some(4), Some(3), &[1, 2, 3, 4]);
        check(AccessMethod::Ivfflat, None, Some(1), &[1]);
        assert_eq!(values(AccessMethod::Ivfflat, None, Some(30_000)).last(), Some(&1_000));
    }
}
