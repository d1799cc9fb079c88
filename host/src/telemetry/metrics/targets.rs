//! How it stands with each database.

use std::sync::Arc;

use super::text::{Exposition, Kind::Gauge, unix_seconds};
use crate::daemon::api::TargetView;

const STATES: [&str; 4] = ["connecting", "standby", "leading", "failed"];

pub fn write(page: &mut Exposition, targets: &[Arc<TargetView>]) {
    let mut family = page.family(
        "pgheal_target_state",
        Gauge,
        "Whether the target is in this state: connecting, standby (another pgheal leads), leading or failed.",
    );
    for target in targets {
        family.states(&[("target", &target.name)], "state", &STATES, target.state.name());
    }
    let mut family =
        page.family("pgheal_target_state_since_timestamp_seconds", Gauge, "When the target came into its state.");
    for target in targets {
        family.sample(&[("target", &target.name)], unix_seconds(target.state_since));
    }
    let mut family = page.family(
        "pgheal_target_auto_heal_enabled",
        Gauge,
        "Whether issues are repaired without being asked: 1 or 0.",
    );
    for target in targets {
        family.sample(&[("target", &target.name)], f64::from(u8::from(target.auto_heal_enabled)));
    }
}
