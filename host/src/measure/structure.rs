use std::time::SystemTime;

use crate::model::{HnswHealth, IvfflatHealth, Measured, Structure};
use crate::pgvector::{ClusterHealth, GraphHealth, StructureHealth};

const EMPTY: &str = "the index is empty";

/// The figures of the decoded structure as a report names them. Where pages are unknown, every count would be a
/// lower bound: then none is given.
pub(super) fn of(health: StructureHealth, awaiting_vacuum: Measured<u64>, built_at: Option<SystemTime>) -> Structure {
    match health {
        StructureHealth::Hnsw(graph) => Structure::Hnsw(hnsw(graph, awaiting_vacuum)),
        StructureHealth::Ivfflat(clusters) => Structure::Ivfflat(ivfflat(clusters, built_at)),
    }
}

/// Pages that could not be decoded, as a reason; None where every page was.
pub(super) fn gaps(health: &StructureHealth) -> Option<String> {
    let unknown = match health {
        StructureHealth::Hnsw(graph) => &graph.pages_unknown,
        StructureHealth::Ivfflat(clusters) => &clusters.pages_unknown,
    };
    if unknown.is_empty() {
        return None;
    }
    let first: Vec<String> = unknown.iter().take(5).map(u32::to_string).collect();
    let more = if unknown.len() > first.len() { ", ..." } else { "" };
    Some(format!(
        "{} pages could not be decoded, also when read again (blocks {}{more}): they are torn or foreign",
        unknown.len(),
        first.join(", ")
    ))
}

/// Elements or entries that a search can return.
pub(super) fn live(health: &StructureHealth) -> u64 {
    match health {
        StructureHealth::Hnsw(graph) => graph.elements_live,
        StructureHealth::Ivfflat(clusters) => clusters.entries,
    }
}

pub(super) fn lists(health: &StructureHealth) -> Option<u32> {
    match health {
        StructureHealth::Hnsw(_) => None,
        StructureHealth::Ivfflat(clusters) => Some(clusters.lists),
    }
}

/// What a reader should know beyond the figures.
pub(super) fn notes(health: &StructureHealth) -> Vec<String> {
    let mut notes = Vec::new();
    match health {
        StructureHealth::Hnsw(graph) => {
            if graph.broken_links > 0 {
                notes.push(format!(
                    "{} links of the graph lead to elements that are deleted or missing (confirmed by a second read)",
                    graph.broken_links
                ));
            }
            if graph.stale_neighbour_tuples > 0 {
                notes.push(format!(
                    "{} live elements have no usable neighbour list: searches end there",
                    graph.stale_neighbour_tuples
                ));
            }
        }
        StructureHealth::Ivfflat(clusters) => {
            if clusters.pages_unlinked > 0 {
                notes.push(format!(
                    "{} entry pages belong to no list: their rows are never found",
                    clusters.pages_unlinked
                ));
            }
        }
    }
    notes
}

fn hnsw(graph: GraphHealth, awaiting_vacuum: Measured<u64>) -> HnswHealth {
    HnswHealth {
        m: Measured::Known(graph.m),
        ef_construction: Measured::Known(graph.ef_construction),
        dimensions: Measured::Known(graph.dimensions),
        elements_live: Measured::Known(graph.elements_live),
        elements_reachable: Measured::Known(graph.elements_reachable),
        elements_deleted: Measured::Known(graph.elements_deleted),
        elements_awaiting_vacuum: awaiting_vacuum,
        orphan_count: Measured::Known(graph.orphan_count),
        layer_distribution: Measured::Known(graph.layer_distribution),
        entry_point: Measured::Known(graph.entry_point),
        entry_point_quality: or_unknown(graph.entry_point_quality, EMPTY),
        connectivity_score: or_unknown(graph.connectivity_score, EMPTY),
        fragmentation: Measured::Known(graph.fragmentation),
    }
}

fn ivfflat(clusters: ClusterHealth, built_at: Option<SystemTime>) -> IvfflatHealth {
    IvfflatHealth {
        lists: Measured::Known(clusters.lists),
        dimensions: Measured::Known(clusters.dimensions),
        entries: Measured::Known(clusters.entries),
        empty_clusters: Measured::Known(clusters.empty_clusters),
        cluster_balance: if clusters.entries > 0 {
            Measured::Known(clusters.cluster_balance)
        } else {
            Measured::unknown(EMPTY)
        },
        centroid_quality: or_unknown(
            clusters.centroid_quality,
            "no list has two entries to compare, or the vectors exceed the memory limit",
        ),
        training_staleness_hours: staleness_hours(built_at),
        fragmentation: Measured::Known(clusters.fragmentation),
    }
}

fn staleness_hours(built_at: Option<SystemTime>) -> Measured<f64> {
    match built_at {
        None => Measured::unknown(
            "PostgreSQL stores no build time; it is known once pgheal has rebuilt the index or has seen its file change",
        ),
        Some(built_at) => match built_at.elapsed() {
            Ok(age) => Measured::Known(age.as_secs_f64() / 3600.0),
            Err(_) => Measured::unknown("the recorded build time lies in the future"),
        },
    }
}

fn or_unknown<T>(value: Option<T>, reason: &str) -> Measured<T> {
    match value {
        Some(value) => Measured::Known(value),
        None => Measured::unknown(reason),
    }
}
