use pgheal_guest_sdk::host::actions::{AS_IT_IS, BuildOptions};
use pgheal_guest_sdk::*;

/// Steps by which a graph is made denser; each costs index size and build time.
const M_STEPS: [u32; 5] = [8, 16, 24, 32, 48];
const EF_CONSTRUCTION_STEPS: [u32; 3] = [64, 128, 200];
/// pgvector's advice: a list for a thousand rows up to a million rows, above that the square root of the rows.
const ROWS_PER_LIST: u64 = 1_000;
const SQUARE_ROOT_ABOVE_ROWS: u64 = 1_000_000;
const MIN_LISTS: u32 = 10;
/// pgvector's maximum.
const MAX_LISTS: u32 = 32_768;
/// The user's number of lists is kept while it is within this factor of the advice.
const KEEP_LISTS_WITHIN: f64 = 5.0;

/// The next denser graph; None where it is as dense as it can be.
pub fn denser(m: u32, ef_construction: u32, max_m: u32) -> Option<BuildOptions> {
    let next_m = M_STEPS.into_iter().find(|step| *step > m && *step <= max_m);
    let next_ef = EF_CONSTRUCTION_STEPS.into_iter().find(|step| *step > ef_construction);
    if next_m.is_none() && next_ef.is_none() {
        return None;
    }
    let m = next_m.unwrap_or(m);
    // pgvector demands at least twice m.
    let ef_construction = next_ef.unwrap_or(ef_construction).max(2 * m);
    Some(BuildOptions { m: Some(m), ef_construction: Some(ef_construction), lists: None })
}

/// The number of lists for so many rows.
pub fn advised_lists(rows: u64) -> u32 {
    let lists = if rows > SQUARE_ROOT_ABOVE_ROWS { (rows as f64).sqrt() as u64 } else { rows / ROWS_PER_LIST };
    u32::try_from(lists).unwrap_or(MAX_LISTS).clamp(MIN_LISTS, MAX_LISTS)
}

/// The same lists, trained anew, or the advised number where the present one is far off.
pub fn retrained(health: &IndexHealth) -> BuildOptions {
    let (Some(rows), Some(lists)) = (health.elements_live, health.lists) else { return AS_IT_IS };
    let advised = advised_lists(rows);
    let ratio = f64::from(lists) / f64::from(advised);
    if (1.0 / KEEP_LISTS_WITHIN..=KEEP_LISTS_WITHIN).contains(&ratio) {
        return AS_IT_IS;
    }
    BuildOptions { lists: Some(advised), ..AS_IT_IS }
}

/// Where the probes in force search too small a part of the index: as many fewer lists as make the same number of
/// probes search the part that the curve says is needed. None where no number of probes reaches the recall.
pub fn fewer_lists(health: &IndexHealth, recall: f64, max_blind_share: f64) -> Option<BuildOptions> {
    let (lists, probes) = (health.lists?, health.parameter_in_force?);
    let needed = smallest_sufficient(&health.curve, recall, max_blind_share)?.value;
    if needed <= probes {
        return None;
    }
    let fewer = (u64::from(lists) * u64::from(probes) / u64::from(needed)) as u32;
    let fewer = fewer.max(MIN_LISTS);
    (fewer < lists).then_some(BuildOptions { lists: Some(fewer), ..AS_IT_IS })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgheal_guest_sdk::testing::health;

    #[test]
    fn graphs_get_denser_step_by_step() {
        let check = |m, ef, expected: Option<(u32, u32)>| {
            let found = denser(m, ef, 48).map(|o| (o.m.unwrap(), o.ef_construction.unwrap()));
            assert_eq!(found, expected, "{m} {ef}");
        };
        check(8, 64, Some((16, 128)));
        check(16, 64, Some((24, 128)));
        check(16, 200, Some((24, 200)));
        check(5, 32, Some((8, 64)));
        check(32, 64, Some((48, 128)));
        check(48, 64, Some((48, 128)));
        check(48, 200, None);
        check(64, 400, None);
        assert_eq!(denser(16, 200, 16), None);
    }

    #[test]
    fn lists_follow_the_rows() {
        let check = |rows, expected| assert_eq!(advised_lists(rows), expected);
        check(0, 10);
        check(20_000, 20);
        check(1_000_000, 1_000);
        check(4_000_000, 2_000);
        check(u64::MAX, MAX_LISTS);
    }

    #[test]
    fn the_users_lists_are_kept_unless_far_off() {
        let check = |rows, lists, expected| {
            let mut health = health();
            (health.elements_live, health.lists) = (Some(rows), Some(lists));
            assert_eq!(retrained(&health).lists, expected);
        };
        check(20_000, 100, None);
        check(20_000, 20, None);
        check(1_000_000, 100, Some(1_000));
        check(5_000, 100, Some(10));
        check(0, 10, None);
    }

    #[test]
    fn fewer_lists_make_the_same_probes_search_more() {
        let check = |lists, probes, needed: u32, expected| {
            let mut health = health();
            (health.lists, health.parameter_in_force) = (Some(lists), Some(probes));
            health.curve = vec![
                CurvePoint { value: probes, recall: 0.7, blind_share: 0.1, cost: 10.0 },
                CurvePoint { value: needed, recall: 0.96, blind_share: 0.0, cost: 50.0 },
            ];
            let found = fewer_lists(&health, 0.95, 0.005).and_then(|options| options.lists);
            assert_eq!(found, expected);
        };
        check(100, 1, 4, Some(25));
        check(100, 1, 50, Some(10));
        check(10, 1, 4, None);
        check(100, 8, 8, None);
    }
}
