use thiserror::Error;

use super::{Metric, VectorType};

/// A page that could not be decoded. Nothing of the page counts then: read it again once, and report it if it
/// stays.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("block {block}: {fault}")]
pub struct PageError {
    pub block: u32,
    pub fault: PageFault,
}

/// What is wrong with a page.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PageFault {
    #[error("{bytes} bytes is not a PostgreSQL page")]
    Size { bytes: usize },
    #[error("torn or foreign page: {0}")]
    Header(&'static str),
    #[error("page id {found:#06x} instead of {expected:#06x}: not a page of this access method")]
    PageId { found: u16, expected: u16 },
    #[error("meta page: magic number {found:#010x} instead of {expected:#010x}")]
    Magic { found: u32, expected: u32 },
    #[error("meta page: version {0} is not known")]
    Version(u32),
    #[error("meta page: {0}")]
    Meta(&'static str),
    #[error("the meta page changed while the index was read: the index was rebuilt")]
    MetaChanged,
    #[error("the meta page was not read")]
    MetaMissing,
    #[error("line pointer {offset} {what}")]
    LinePointer { offset: u16, what: &'static str },
    #[error("tuple {offset}: {what}")]
    Tuple { offset: u16, what: &'static str },
    #[error("tuple {offset}: {fault}")]
    Value { offset: u16, fault: ValueFault },
    #[error("beyond the index's expected size of {pages_expected} blocks")]
    BeyondEnd { pages_expected: u32 },
    #[error("the index has more elements than can be numbered")]
    TooMany,
    #[error("the chain of list pages is broken: {0}")]
    ListChain(&'static str),
    #[error("the opclass does not suit the type")]
    Options,
}

/// What is wrong with a stored vector.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ValueFault {
    #[error("the value is cut off")]
    CutOff,
    #[error("the value is stored outside of the index")]
    External,
    #[error("the compressed value is damaged")]
    Compression,
    #[error("{found} dimensions instead of {expected}")]
    Dimensions { found: u32, expected: u32 },
    #[error("the length does not fit the dimensions")]
    Length,
    #[error("an element is not finite")]
    NotFinite,
    #[error("the indices of the sparse vector are not ascending within its dimensions")]
    Indices,
}

/// Why a decoded index cannot answer a question.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IndexError {
    #[error("the vectors exceed the memory limit and were not kept")]
    VectorsNotKept,
    #[error("the probes are {probes}, the index holds {index}")]
    ProbeType { probes: &'static str, index: &'static str },
    #[error("the probes are for {probes:?}, the index for {index:?}")]
    ProbeMetric { probes: Metric, index: Metric },
    #[error("the probes have {probes} dimensions, the index has {index}")]
    ProbeDimensions { probes: u32, index: u32 },
}

/// Why queries cannot be used as probes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProbeError {
    #[error("{metric:?} is not a metric of {vector_type:?}")]
    Metric { vector_type: VectorType, metric: Metric },
    #[error("query {query}: {fault}")]
    Query { query: usize, fault: ValueFault },
}
