use crate::model::EntryPoint;

/// The figures of an HNSW graph. An element is *live* when it is not deleted and has at least one heap TID (whether
/// the row is visible is the heap's affair); *reachable* when the layered search can get to it.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphHealth {
    pub m: u32,
    pub ef_construction: u32,
    pub dimensions: u32,
    pub elements_live: u64,
    /// Live elements in the closure R0, where R(L) holds what is in R(L + 1), the entry point if L is its level,
    /// and everything that layer L's edges lead to from these.
    pub elements_reachable: u64,
    /// Slots marked deleted, which wait for reuse.
    pub elements_deleted: u64,
    /// Elements without any heap TID that are not marked deleted: a vacuum runs or was interrupted.
    pub elements_without_rows: u64,
    /// Live elements that no other element's level-0 list holds. The entry point counts too, unless it is the only
    /// live element.
    pub orphan_count: u64,
    /// Live elements whose top level is L, at position L.
    pub layer_distribution: Vec<u64>,
    /// None: the meta page names none (the index is empty).
    pub entry_point: Option<EntryPoint>,
    /// 0 to 1: (level of the entry point + 1) / (highest live level + 1), times the share of the live elements of
    /// level >= 1 that the upper layers reach from it (1 where there are none). 0 where the entry point is missing or
    /// deleted; None for an index without live elements.
    pub entry_point_quality: Option<f64>,
    /// elements_reachable / elements_live, 0 to 1; None for an index without live elements.
    pub connectivity_score: Option<f64>,
    /// 0 to 1: bytes of deleted slots (element and neighbour tuples) and usable free space over all bytes of
    /// the data pages.
    pub fragmentation: f64,
    /// Level-0 to top-level links to elements that are deleted or do not exist; pgvector fails on them.
    pub broken_links: u64,
    /// Live elements whose neighbour tuple is missing, of another version or of another size: dead ends.
    pub stale_neighbour_tuples: u64,
    /// Data pages, without the meta page.
    pub pages: u64,
    /// All-zero pages: allocated, never written.
    pub pages_empty: u64,
    /// Pages that could not be decoded or were never read, ascending. Where there is one, every count is a lower bound.
    pub pages_unknown: Vec<u32>,
}
