use crate::CurvePoint;

/// The smallest value on a measured curve that reaches the recall and keeps the blind share.
pub fn smallest_sufficient(curve: &[CurvePoint], recall: f64, max_blind_share: f64) -> Option<&CurvePoint> {
    curve.iter().filter(|p| p.recall >= recall && p.blind_share <= max_blind_share).min_by_key(|p| p.value)
}

/// The mean cost of a query at `value`; between two measured values it is interpolated, outside them unknown.
pub fn cost_at(curve: &[CurvePoint], value: u32) -> Option<f64> {
    let below = curve.iter().filter(|p| p.value <= value).max_by_key(|p| p.value)?;
    let above = curve.iter().filter(|p| p.value >= value).min_by_key(|p| p.value)?;
    if below.value == above.value {
        return Some(below.cost);
    }
    let share = f64::from(value - below.value) / f64::from(above.value - below.value);
    Some(below.cost + share * (above.cost - below.cost))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve() -> Vec<CurvePoint> {
        [(10, 0.8, 0.02, 100.0), (40, 0.94, 0.01, 300.0), (80, 0.97, 0.0, 500.0)]
            .map(|(value, recall, blind_share, cost)| CurvePoint { value, recall, blind_share, cost })
            .to_vec()
    }

    #[test]
    fn the_smallest_value_that_satisfies_both_is_taken() {
        let check = |recall, blind, expected: Option<u32>| {
            assert_eq!(smallest_sufficient(&curve(), recall, blind).map(|p| p.value), expected);
        };
        check(0.9, 1.0, Some(40));
        check(0.9, 0.005, Some(80));
        check(0.99, 1.0, None);
        check(0.1, 0.5, Some(10));
    }

    #[test]
    fn cost_is_interpolated_within_the_curve_only() {
        let check = |value, expected| assert_eq!(cost_at(&curve(), value), expected);
        check(40, Some(300.0));
        check(60, Some(400.0));
        check(5, None);
        check(200, None);
    }
}
