use std::collections::HashMap;

use bytes::Bytes;
use rayon::prelude::*;

use crate::model::Tid;

use super::error::ProbeError;
use super::sent::content_of_sent;
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
        if !index.vectors_kept() {
            return Err(IndexError::VectorsNotKept);
        }
        Ok(Self::of_elements(index, &index.sample_elements(count, seed)))
    }

    /// These elements of an index whose vectors are kept.
    pub(super) fn of_elements(index: &DecodedIndex, elements: &[u32]) -> Self {
        let mut vectors = VectorStore::new(index.vector_type(), index.dimensions());
        let mut own_tids = Vec::with_capacity(elements.len());
        for element in elements {
            vectors.push_from(index.store(), *element as usize);
            own_tids.push(own(index, *element));
        }
        ProbeSet { metric: index.metric(), vectors, own_tids, sampled: true }
    }

    /// From what `vector_send`, `halfvec_send`, `varbit_send` or `sparsevec_send` gave: real queries, which
    /// exclude nothing. They are normalised for cosine, as pgvector does before it searches.
    ///
    /// # Errors
    /// Where the metric does not suit the type, a value is damaged, or two have different dimensions.
    pub fn from_send_format(vector_type: VectorType, metric: Metric, values: &[Bytes]) -> Result<Self, ProbeError> {
        if !metric.suits(vector_type) {
            return Err(ProbeError::Metric { vector_type, metric });
        }
        let mut vectors = VectorStore::new(vector_type, 0);
        for (query, value) in values.iter().enumerate() {
            let fault = |fault| ProbeError::Query { query, fault };
            let mut content = content_of_sent(vector_type, value).map_err(fault)?;
            if query == 0 {
                vectors = VectorStore::new(vector_type, content.dimensions);
            }
            if metric == Metric::Cosine {
                content.normalise();
            }
            vectors.push_content(&content.encode()).map_err(fault)?;
        }
        Ok(ProbeSet { metric, vectors, own_tids: vec![Vec::new(); values.len()], sampled: false })
    }

    /// The same queries for another index of the same rows, or for the same one later: a sampled query's own rows
    /// are looked up again by its vector, because a row that was re-inserted has another TID.
    ///
    /// # Errors
    /// Where the index cannot be searched with these probes.
    pub fn rebased_on(&self, index: &DecodedIndex) -> Result<Self, IndexError> {
        index.check(self)?;
        let mut wanted: HashMap<u64, Vec<usize>> = HashMap::new();
        for query in (0..self.len()).filter(|query| !self.own_tids[*query].is_empty()) {
            wanted.entry(self.vectors.fingerprint(query)).or_default().push(query);
        }
        let store = index.store();
        let same = |element: u32| {
            let queries = wanted.get(&store.fingerprint(element as usize)).map_or(&[][..], Vec::as_slice);
            let queries = queries.iter().filter(move |q| store.same_vector(element as usize, &self.vectors, **q));
            queries.map(move |query| (*query, element)).collect::<Vec<_>>()
        };
        let live: Vec<u32> = if wanted.is_empty() { Vec::new() } else { index.live_elements().collect() };
        let matches: Vec<(usize, u32)> = live.into_par_iter().with_min_len(1024).flat_map_iter(same).collect();
        let mut rebased = self.clone();
        rebased.own_tids.iter_mut().for_each(Vec::clear);
        for (query, element) in matches {
            let tids = own(index, element);
            // Of several elements with the same vector it is the one that still holds a known row.
            let is_known = tids.iter().any(|tid| self.own_tids[query].contains(tid));
            if is_known || rebased.own_tids[query].is_empty() {
                rebased.own_tids[query] = tids;
            }
        }
        Ok(rebased)
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

fn own(index: &DecodedIndex, element: u32) -> Vec<Tid> {
    let mut tids = Vec::new();
    index.extend_with_tids(element, &mut tids);
    tids
}
