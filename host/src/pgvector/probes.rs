use bytes::Bytes;

use crate::model::Tid;

use super::error::ProbeError;
use super::store::VectorStore;
use super::{DecodedIndex, IndexError, Metric, VectorType};

/// Probe queries: vectors as the index stores them (normalised for cosine), each with the heap TIDs that it must
/// not count, because they are its own.
#[derive(Clone, Debug)]
pub struct ProbeSet {
    pub(crate) metric: Metric,
    pub(crate) vectors: VectorStore,
    pub(crate) own_tids: Vec<Vec<Tid>>,
    sampled: bool,
}

impl ProbeSet {
    /// Up to `count` live elements of the index, chosen without replacement; the same seed on the same index
    /// chooses the same. Each excludes the rows of its own element.
    ///
    /// # Errors
    /// [`IndexError::VectorsNotKept`].
    pub fn from_index_sample(index: &DecodedIndex, count: usize, seed: u64) -> Result<Self, IndexError> {
        todo!("{index:?} {count} {seed}")
    }

    /// From what `vector_send`, `halfvec_send`, `varbit_send` or `sparsevec_send` gave: real queries, which
    /// exclude nothing.
    pub fn from_send_format(vector_type: VectorType, metric: Metric, values: &[Bytes]) -> Result<Self, ProbeError> {
        todo!("{vector_type:?} {metric:?} {values:?}")
    }

    /// The same queries for another index of the same rows, or for the same one later: a sampled query's own rows
    /// are looked up again by its vector, because a row that was re-inserted has another TID.
    pub fn rebased_on(&self, index: &DecodedIndex) -> Result<Self, IndexError> {
        todo!("{index:?}")
    }

    pub fn len(&self) -> usize {
        self.own_tids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.own_tids.is_empty()
    }

    /// Whether the queries are rows of the table (their recall is optimistic).
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    pub fn vector_type(&self) -> VectorType {
        self.vectors.vector_type()
    }

    pub fn dimensions(&self) -> u32 {
        self.vectors.dimensions()
    }

    /// The heap TIDs that query `i` must not count; a real scan asks for LIMIT k + their number, and drops them.
    pub fn own_tids(&self, i: usize) -> &[Tid] {
        &self.own_tids[i]
    }

    /// Query `i` as the text input of its type, exact: `[0.1,0.2]`, `0101`, `{1:0.5}/10`.
    pub fn literal(&self, i: usize) -> String {
        self.vectors.literal(i)
    }
}
