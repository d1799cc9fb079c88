/// The figures of an IVFFlat index's lists.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterHealth {
    pub lists: u32,
    pub dimensions: u32,
    pub entries: u64,
    /// Lists without an entry.
    pub empty_clusters: u32,
    /// Standard deviation of the list sizes over their mean, from 0 (all equal) to sqrt(lists - 1); 0 for an index
    /// without entries.
    pub cluster_balance: f64,
    /// 0 to 1, see `centroid_quality`'s formula in this module; None where no list has two entries or the vectors were
    /// not kept.
    pub centroid_quality: Option<f64>,
    /// 0 to 1: usable free space in entry pages over all bytes of entry pages.
    pub fragmentation: f64,
    /// Entry pages that no list's chain leads to.
    pub pages_unlinked: u64,
    /// Data pages, without the meta page.
    pub pages: u64,
    /// All-zero pages: allocated, never written.
    pub pages_empty: u64,
    /// Pages that could not be decoded or were never read, ascending. Where there is one, every count is a lower bound.
    pub pages_unknown: Vec<u32>,
}
