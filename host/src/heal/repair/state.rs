use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::components::HostError;
use crate::measure::{Begun, Measurement};
use crate::model::{IndexHealth, Tid};
use crate::pgvector::ProbeSet;

use super::error::database_error;
use super::session::ActionSession;

/// A measurement older than this is made anew, though pgheal did not change the index: others write to it.
const FRESH: Duration = Duration::from_secs(600);
/// What a repair's last measurement found stands for its verification up to this age.
const JUST_MADE: Duration = Duration::from_secs(30);
/// Beside more unfindable elements than this, nothing else is looked for: putting those in again helps most.
const HARDLY_A_SHARE: f64 = 0.005;

/// What the repair's actions know of each other. Locked for as long as an action runs: one at a time.
#[derive(Default)]
pub(super) struct State {
    /// The same probe queries throughout one repair.
    pub probes: Option<Arc<ProbeSet>>,
    /// The last measurement of the index, until an action changes it.
    pub last: Option<Measured>,
    /// What a round of re-insertion needed of a measurement, until an action changes the index.
    pub begun: Option<(u32, Begun)>,
    pub candidates: HashMap<i64, BuiltCandidate>,
    /// Places of rows that this repair has re-inserted: one that comes back was merged into its old element.
    pub reinserted: HashSet<Tid>,
    /// Rows that were given out because they find themselves: an insertion would only join the old element.
    pub misplaced: HashSet<Tid>,
    pub names_given: u32,
}

impl State {
    /// The index changes: what was measured of it is past.
    pub fn forget(&mut self) {
        self.last = None;
        self.begun = None;
    }
}

pub(super) struct Measured {
    pub oid: u32,
    pub at: Instant,
    pub health: IndexHealth,
    pub unfindable_rows: Vec<Tid>,
    /// Found where it was asked for.
    pub misplaced_rows: Option<Vec<Tid>>,
}

impl Measured {
    pub fn new(oid: u32, measurement: Measurement) -> Self {
        Measured {
            oid,
            at: Instant::now(),
            health: measurement.health,
            unfindable_rows: measurement.unfindable_rows,
            misplaced_rows: None,
        }
    }

    /// Whether it still tells how this index is.
    pub fn is_fresh_of(&self, oid: u32) -> bool {
        self.oid == oid && self.at.elapsed() < FRESH
    }

    /// Whether it was made so short a time ago that measuring again would only cost.
    pub fn is_just_made_of(&self, oid: u32) -> bool {
        self.oid == oid && self.at.elapsed() < JUST_MADE
    }

    /// Whether the target is missed though hardly an element is unfindable: something else is wrong.
    pub fn is_blind_beside_unfindable(&self, recall_target: f64, max_blind_share: f64) -> bool {
        let search = &self.health.search;
        let (Some(recall), Some(blind)) = (search.recall.get(), search.blind_share.get()) else { return false };
        let Some(unfindable) = search.unfindable.known() else { return false };
        (recall < recall_target || blind > max_blind_share)
            && unfindable.count as f64 <= unfindable.of_sampled as f64 * HARDLY_A_SHARE
    }
}

pub(super) struct BuiltCandidate {
    pub oid: u32,
    pub name: String,
    pub gate_passed: Option<bool>,
}

/// A name of our own that nothing in the schema bears.
pub(super) async fn unused_name(
    session: &ActionSession,
    schema: &str,
    state: &mut State,
    make: impl Fn(u32) -> String,
) -> Result<String, HostError> {
    loop {
        state.names_given += 1;
        let name = make(state.names_given);
        let taken: bool = session
            .query_one(
                "SELECT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                                 WHERE n.nspname = $1 AND c.relname = $2)",
                &[&schema, &name],
            )
            .await
            .map_err(|e| database_error(&e))?
            .get(0);
        if !taken {
            return Ok(name);
        }
    }
}
