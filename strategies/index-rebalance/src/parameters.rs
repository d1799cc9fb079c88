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

/// Of what the target leaves to a perfect recall.
const MARGIN: f64 = 0.1;

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
    // As many lists as probes, or fewer, would make every query read the whole index.
    let least = health.parameter_in_force.map_or(0, |probes| probes.saturating_add(1));
    let advised = advised.max(least);
    if advised == lists || advised > MAX_LISTS {
        return AS_IT_IS;
    }
    BuildOptions { lists: Some(advised), ..AS_IT_IS }
}

/// Where the probes in force search too small a part of the index: as many fewer lists as make the same number of
/// probes search the part that the curve says is needed, and no more: every list less makes a query dearer. Always
/// more lists than probes; as many or fewer would make every query read the whole index. None where no measured
/// number of probes reaches the recall, or nothing that is left is fewer.
pub fn fewer_lists(health: &IndexHealth, recall: f64, max_blind_share: f64) -> Option<BuildOptions> {
    let (lists, probes) = (health.lists?, health.parameter_in_force?);
    let needed = needed_probes(&health.curve, recall, max_blind_share)?;
    if needed <= f64::from(probes) {
        return None;
    }
    // A query shall read a share of needed / lists of the rows; rounded up, it reads no more than that.
    let fewer = (f64::from(lists) * f64::from(probes) / needed).ceil() as u32;
    let fewer = fewer.max(MIN_LISTS).max(probes.checked_add(1)?);
    (fewer < lists).then_some(BuildOptions { lists: Some(fewer), ..AS_IT_IS })
}

/// The probes at which the curve reaches the recall, between the measured points: those are far apart, and the next
/// one that suffices may cost twice what is needed.
fn needed_probes(curve: &[CurvePoint], recall: f64, max_blind_share: f64) -> Option<f64> {
    // New lists are not the old ones merged: a little more than the target, where that was measured.
    let aim = recall + (1.0 - recall) * MARGIN;
    let (recall, enough) = match smallest_sufficient(curve, aim, max_blind_share) {
        Some(enough) => (aim, enough),
        None => (recall, smallest_sufficient(curve, recall, max_blind_share)?),
    };
    let before = curve.iter().filter(|point| point.value < enough.value).max_by_key(|point| point.value);
    let Some(before) = before else { return Some(f64::from(enough.value)) };
    let part = |from: f64, to: f64, wanted: f64| {
        if from == to { 0.0 } else { ((wanted - from) / (to - from)).clamp(0.0, 1.0) }
    };
    let part = part(before.recall, enough.recall, recall)
        .max(part(before.blind_share, enough.blind_share, max_blind_share))
        .min(1.0);
    let (from, to) = (f64::from(before.value), f64::from(enough.value));
    Some(from + (to - from) * part)
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
            (health.elements_live, health.lists, health.parameter_in_force) = (Some(rows), Some(lists), Some(1));
            assert_eq!(retrained(&health).lists, expected);
        };
        check(20_000, 100, None);
        check(20_000, 20, None);
        check(1_000_000, 100, Some(1_000));
        check(5_000, 100, Some(10));
        check(0, 10, None);
        let mut health = health();
        (health.elements_live, health.lists, health.parameter_in_force) = (Some(5_000), Some(100), Some(20));
        assert_eq!(retrained(&health).lists, Some(21), "more lists than probes");
    }

    fn check_lists(lists: u32, probes: u32, points: &[(u32, f64, f64)], expected: Option<u32>) {
        let mut health = health();
        (health.lists, health.parameter_in_force) = (Some(lists), Some(probes));
        health.curve = points
            .iter()
            .map(|(value, recall, blind_share)| CurvePoint {
                value: *value,
                recall: *recall,
                blind_share: *blind_share,
                cost: f64::from(*value) * 10.0,
            })
            .collect();
        let found = fewer_lists(&health, 0.95, 0.005).and_then(|options| options.lists);
        assert_eq!(found, expected, "{lists} lists, {probes} probes: {points:?}");
    }

    #[test]
    fn fewer_lists_make_the_same_probes_search_more() {
        check_lists(100, 1, &[(1, 0.7, 0.1), (4, 0.95, 0.0)], Some(25));
        check_lists(100, 1, &[(1, 0.7, 0.1), (50, 0.95, 0.0)], Some(10));
        check_lists(10, 1, &[(1, 0.7, 0.1), (4, 0.95, 0.0)], None);
        check_lists(100, 8, &[(8, 0.96, 0.0)], None);
        check_lists(100, 1, &[(1, 0.7, 0.1), (50, 0.9, 0.0)], None);
    }

    #[test]
    fn no_more_is_searched_than_the_target_needs() {
        // Between 10 and 20 probes a recall of 0.955 is reached at 13: 100 * 5 / 13.
        check_lists(100, 5, &[(5, 0.8, 0.0), (10, 0.94, 0.0), (20, 0.99, 0.0)], Some(39));
        // The blind queries need 15.
        check_lists(100, 5, &[(5, 0.8, 0.1), (10, 0.94, 0.01), (20, 0.99, 0.0)], Some(34));
    }

    #[test]
    fn there_are_always_more_lists_than_probes() {
        check_lists(100, 10, &[(10, 0.7, 0.1), (100, 0.95, 0.0)], Some(11));
        check_lists(100, 30, &[(30, 0.7, 0.1), (100, 0.95, 0.0)], Some(31));
        check_lists(31, 30, &[(30, 0.7, 0.1), (31, 0.95, 0.0)], None);
        check_lists(20, 30, &[(20, 0.95, 0.0)], None);
    }
}
