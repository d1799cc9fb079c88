//! pgvector's index pages: bytes in, structs and graph maths out. No I/O; never panics on any bytes.
//!
//! A reader ([`HnswReader`], [`IvfflatReader`], or [`IndexReader`] for either) takes pages as they arrive and
//! gives a [`DecodedIndex`]. That one answers, without any further page: the structure's health, the exact
//! nearest neighbours of a [`ProbeSet`], what a search returns at any `ef_search` or `probes`, the recall of
//! it, and which elements a search for their own vector does not find.
//!
//! Written against pgvector 0.5 to 0.8 (`hnsw.h`, `ivfflat.h`) on little-endian servers; a big-endian server's
//! pages are refused by their magic number.

mod decompress;
mod distance;
mod error;
mod exact;
mod hnsw;
mod index;
mod ivfflat;
mod kind;
mod misplaced;
mod page;
mod pairing_heap;
mod probes;
mod reader;
mod recall;
mod runs;
mod sent;
mod stash;
mod store;
mod tid_vec;
mod unfindable;
mod value;

#[cfg(any(test, fuzzing))]
pub(crate) mod fixture;
#[cfg(test)]
mod properties;

pub use error::{IndexError, PageError, PageFault, ProbeError, ValueFault};
pub use hnsw::{GraphHealth, HnswIndex, HnswReader};
pub use index::{DecodedIndex, StructureHealth};
pub use ivfflat::{ClusterHealth, IvfflatIndex, IvfflatReader};
pub use kind::{Metric, ReaderOptions, VectorType};
pub use probes::ProbeSet;
pub use reader::IndexReader;
pub use recall::{Evaluation, EvaluationOutcome, Liveness, Neighbours, SearchRun};
pub use unfindable::UnfindableReport;
