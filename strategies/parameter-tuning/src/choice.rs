use pgheal_guest_sdk::*;

/// Above this a query may cost so many times what it costs now only if the operator says so.
const MAX_COST_RATIO: f64 = 4.0;

/// What the parameter has to achieve.
#[derive(Clone, Copy)]
pub struct Goal {
    pub recall: f64,
    pub max_blind_share: f64,
    /// The operator's setting `max_cost_ratio`.
    pub max_cost_ratio: f64,
}

impl Goal {
    pub fn of(context: &RepairContext) -> Self {
        let ratio = setting(context, "max_cost_ratio").and_then(|text| text.parse().ok());
        Goal {
            recall: context.recall_target,
            max_blind_share: context.max_blind_share,
            max_cost_ratio: ratio.filter(|ratio: &f64| *ratio > 0.0).unwrap_or(MAX_COST_RATIO),
        }
    }
}

/// A value of the parameter and what the curve says of it.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    pub in_force: u32,
    pub point: CurvePoint,
    /// Cost of a query over its cost with the parameter in force.
    pub cost_ratio: f64,
}

/// The smallest value on the curve that reaches the goal at a cost that is allowed.
///
/// # Errors
/// Why no value helps, with the numbers.
pub fn choose(health: &IndexHealth, kind: &IssueKind, goal: &Goal) -> Result<Choice, String> {
    if let IssueKind::BlindSpots(_) = kind {
        findable(health, goal.max_blind_share)?;
    }
    candidates(health, goal).and_then(|choices| choices.first().copied().ok_or_else(|| "no value".to_owned()))
}

/// Every value that reaches the goal at a cost that is allowed, the smallest first; at least one.
pub fn candidates(health: &IndexHealth, goal: &Goal) -> Result<Vec<Choice>, String> {
    let in_force = health.parameter_in_force.ok_or("the parameter in force is unknown")?;
    if health.curve.is_empty() {
        return Err("the recall curve could not be measured".to_owned());
    }
    let cost_now = cost_at(&health.curve, in_force)
        .filter(|cost| *cost > 0.0)
        .ok_or_else(|| format!("the curve does not tell the cost at {in_force}"))?;
    let mut sufficient: Vec<Choice> = health
        .curve
        .iter()
        .filter(|p| p.recall >= goal.recall && p.blind_share <= goal.max_blind_share)
        .map(|point| Choice { in_force, point: *point, cost_ratio: point.cost / cost_now })
        .collect();
    sufficient.sort_by_key(|choice| choice.point.value);
    let Some(cheapest) = sufficient.first().copied() else { return Err(out_of_reach(&health.curve, goal)) };
    if cheapest.point.value == in_force {
        return Err(format!("{in_force} is in force and reaches the target by itself"));
    }
    sufficient.retain(|choice| choice.cost_ratio <= goal.max_cost_ratio);
    if sufficient.is_empty() {
        return Err(format!(
            "{} would reach recall {:.4}, at {:.1} times the cost of a query; {:.1} are allowed (max_cost_ratio)",
            cheapest.point.value, cheapest.point.recall, cheapest.cost_ratio, goal.max_cost_ratio
        ));
    }
    Ok(sufficient)
}

fn out_of_reach(curve: &[CurvePoint], goal: &Goal) -> String {
    let best = curve.iter().max_by(|a, b| a.recall.total_cmp(&b.recall).then(b.value.cmp(&a.value)));
    let best = best.map_or_else(String::new, |p| {
        format!(" (best: recall {:.4} with {:.2} % blind at {})", p.recall, p.blind_share * 100.0, p.value)
    });
    format!(
        "no measured value reaches recall {} with at most {:.2} % blind queries{best}",
        goal.recall,
        goal.max_blind_share * 100.0
    )
}

/// The curve says nothing of elements that no search finds; where there are too many, another strategy must help.
fn findable(health: &IndexHealth, max_share: f64) -> Result<(), String> {
    match (health.unfindable, health.unfindable_of) {
        (Some(count), Some(of)) if of > 0 && count as f64 / of as f64 > max_share => Err(format!(
            "{count} of {of} elements are not found by a search for their own vector; searching longer repairs no graph"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use pgheal_guest_sdk::testing::sick;

    use super::*;

    const GOAL: Goal = Goal { recall: 0.95, max_blind_share: 0.005, max_cost_ratio: 4.0 };

    fn low_recall() -> IssueKind {
        IssueKind::LowRecall(LowRecall { recall: 0.9, p5: 0.5, target: 0.95, k: 10, parameter_in_force: 40 })
    }

    fn blind_spots() -> IssueKind {
        IssueKind::BlindSpots(BlindSpots { blind_share: 0.02, unfindable: 0, unfindable_of: 10_000 })
    }

    fn check(kind: &IssueKind, unfindable: u64, points: &[(u32, f64, f64, f64)], expected: Result<u32, &str>) {
        let mut health = sick(0.9, 0.01, unfindable);
        health.curve = points
            .iter()
            .map(|&(value, recall, blind_share, cost)| CurvePoint { value, recall, blind_share, cost })
            .collect();
        match (choose(&health, kind, &GOAL), expected) {
            (Ok(choice), Ok(value)) => assert_eq!(choice.point.value, value),
            (Err(reason), Err(part)) => assert!(reason.contains(part), "{reason}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn the_smallest_sufficient_value_is_chosen() {
        let curve = [(40, 0.9, 0.01, 100.0), (80, 0.96, 0.004, 180.0), (120, 0.98, 0.0, 250.0)];
        check(&low_recall(), 0, &curve, Ok(80));
        check(&blind_spots(), 0, &curve, Ok(80));
        check(&low_recall(), 0, &[(20, 0.96, 0.0, 60.0), (40, 0.94, 0.0, 100.0)], Ok(20));
    }

    #[test]
    fn what_a_parameter_cannot_heal_is_said() {
        let curve = [(40, 0.9, 0.01, 100.0), (200, 0.93, 0.009, 400.0)];
        check(&low_recall(), 0, &curve, Err("best: recall 0.9300 with 0.90 % blind at 200"));
        check(&low_recall(), 0, &[(40, 0.9, 0.01, 100.0), (400, 0.96, 0.0, 900.0)], Err("9.0 times the cost"));
        check(&low_recall(), 0, &[], Err("could not be measured"));
        check(&low_recall(), 0, &[(40, 0.96, 0.0, 100.0)], Err("40 is in force"));
        check(&low_recall(), 0, &[(80, 0.96, 0.0, 100.0)], Err("does not tell the cost at 40"));
        let healed = [(40, 0.9, 0.01, 100.0), (80, 0.96, 0.0, 180.0)];
        check(&blind_spots(), 300, &healed, Err("300 of 10000 elements are not found"));
    }
}
