use super::MeasureError;
use super::simulation::Simulation;
use crate::model::Measured;
use crate::pgvector::StructureHealth;

/// Up to so many rows, the visibility of each is looked up.
const ROWS_LOOKED_UP: usize = 200_000;

/// Elements that only vacuum can remove, where no live element has to be looked at.
pub(super) fn without_rows(health: &StructureHealth) -> Measured<u64> {
    match health {
        StructureHealth::Hnsw(graph) => Measured::Known(graph.elements_without_rows),
        StructureHealth::Ivfflat(_) => Measured::unknown("not counted for ivfflat"),
    }
}

/// Elements that only vacuum can remove: those without a heap TID, and those whose every row is dead.
pub(super) async fn count(
    simulation: &mut Simulation,
    health: &StructureHealth,
) -> Result<Measured<u64>, MeasureError> {
    let StructureHealth::Hnsw(graph) = health else { return Ok(without_rows(health)) };
    let tids = simulation.index.heap_tids();
    if tids.len() > ROWS_LOOKED_UP {
        return Ok(Measured::unknown(format!(
            "the table has more than {ROWS_LOOKED_UP} indexed rows: not every one was looked up"
        )));
    }
    simulation.resolve(&tids).await?;
    let mut rows = Vec::new();
    let all_dead = simulation.index.live_elements().filter(|element| {
        rows.clear();
        simulation.index.extend_with_tids(*element, &mut rows);
        rows.iter().all(|tid| simulation.visibility.is_visible(*tid) == Some(false))
    });
    Ok(Measured::Known(graph.elements_without_rows + all_dead.count() as u64))
}
