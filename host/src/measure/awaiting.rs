use super::simulation::Simulation;
use crate::model::{Measured, Tid};
use crate::pgvector::{DecodedIndex, StructureHealth};

/// Up to so many rows, the visibility of each is looked up.
const ROWS_LOOKED_UP: usize = 200_000;

/// Elements that only vacuum can remove, where no live element has to be looked at.
pub(super) fn without_rows(health: &StructureHealth) -> Measured<u64> {
    match health {
        StructureHealth::Hnsw(graph) => Measured::Known(graph.elements_without_rows),
        StructureHealth::Ivfflat(_) => Measured::unknown("not counted for ivfflat"),
    }
}

/// The rows that `count` has to know the visibility of; none where that is not wanted, or there are too many.
pub(super) fn rows_to_look_up(index: &DecodedIndex) -> Vec<Tid> {
    match index {
        DecodedIndex::Hnsw(_) => {
            Some(index.heap_tids()).filter(|tids| tids.len() <= ROWS_LOOKED_UP).unwrap_or_default()
        }
        DecodedIndex::Ivfflat(_) => Vec::new(),
    }
}

/// Elements that only vacuum can remove: those without a heap TID, and those whose every row is dead. `simulation` has
/// looked up `rows_to_look_up`.
pub(super) fn count(simulation: &Simulation, health: &StructureHealth) -> Measured<u64> {
    let StructureHealth::Hnsw(graph) = health else { return without_rows(health) };
    if simulation.index.heap_tids().len() > ROWS_LOOKED_UP {
        return Measured::unknown(format!(
            "the table has more than {ROWS_LOOKED_UP} indexed rows: not every one was looked up"
        ));
    }
    let mut rows = Vec::new();
    let all_dead = simulation.index.live_elements().filter(|element| {
        rows.clear();
        simulation.index.extend_with_tids(*element, &mut rows);
        rows.iter().all(|tid| simulation.visibility.is_visible(*tid) == Some(false))
    });
    Measured::Known(graph.elements_without_rows + all_dead.count() as u64)
}
