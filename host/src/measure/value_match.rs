use std::collections::BTreeMap;
use std::sync::Arc;

use super::blocking::compute;
use super::queries::sql_type;
use super::{MeasureError, Subject};
use crate::model::{Tid, TidSet};
use crate::pgvector::{DecodedIndex, Metric, Neighbours, ProbeSet, VectorType};
use crate::postgres::liveness::RowVisibility;

/// Exact neighbours looked at for the root of a visible row; more rows than these with one value cannot be told apart.
const FETCH: usize = 64;
/// Two computations of one distance may differ by rounding.
const TOLERANCE: f32 = 1e-5;

/// Finds the roots of rows that were updated in place, where heap pages cannot be read: the visible row and its
/// root are in one block and have one indexed value.
pub(super) struct ValueMatcher {
    index: Arc<DecodedIndex>,
    vector_type: VectorType,
    metric: Metric,
    expression: String,
    condition: String,
    /// Every root of the index; collected when first needed.
    roots: Option<TidSet>,
}

impl ValueMatcher {
    pub(super) fn new(subject: &Subject<'_>, index: Arc<DecodedIndex>) -> Self {
        let definition = &subject.index;
        let expression = format!("({})::{}", definition.expression, sql_type(subject.vector_type, &subject.facts));
        let predicate = definition.predicate.as_deref().map_or(String::new(), |p| format!(" AND ({p})"));
        let condition = format!("({}) IS NOT NULL{predicate}", definition.expression);
        let (vector_type, metric) = (subject.vector_type, subject.metric);
        ValueMatcher { index, vector_type, metric, expression, condition, roots: None }
    }

    /// Decides what `visibility` left undecided.
    ///
    /// # Errors
    /// `NotAnswered` where values do not tell the rows apart.
    pub(super) async fn settle(&mut self, visibility: &mut RowVisibility) -> Result<(), MeasureError> {
        let mut by_block: BTreeMap<u32, Vec<Tid>> = BTreeMap::new();
        for root in visibility.undecided() {
            by_block.entry(root.block).or_default().push(root);
        }
        if by_block.is_empty() {
            return Ok(());
        }
        let roots = self.roots.get_or_insert_with(|| self.index.heap_tids().into_iter().collect());
        let blocks: Vec<u32> = by_block.keys().copied().collect();
        let mut updated = visibility.visible_rows(&blocks, &self.expression, &self.condition).await?;
        updated.retain(|(row, _)| !roots.contains(row));
        let nearest = self.nearest(&updated).await?;
        for (i, (row, _)) in updated.iter().enumerate() {
            let Some(candidates) = by_block.get_mut(&row.block) else { continue };
            match nearest.as_ref().map_or(Match::Unclear, |n| matching(n, i, self.metric, candidates)) {
                Match::Root(at) => visibility.decide(candidates.swap_remove(at), Some(*row)),
                // The row came after the pages were read.
                Match::NotIndexed => {}
                Match::Unclear if candidates.is_empty() => {}
                Match::Unclear => {
                    return Err(MeasureError::NotAnswered(
                        "rows that were updated in place cannot be told apart by their values: reading heap pages needs a superuser"
                            .to_owned(),
                    ));
                }
            }
        }
        for dead in by_block.into_values().flatten() {
            visibility.decide(dead, None);
        }
        Ok(())
    }

    /// None for a metric by which a value need not be nearest to itself.
    async fn nearest(&self, rows: &[(Tid, bytes::Bytes)]) -> Result<Option<Neighbours>, MeasureError> {
        if self.metric == Metric::InnerProduct || rows.is_empty() {
            return Ok(None);
        }
        let values: Vec<bytes::Bytes> = rows.iter().map(|(_, value)| value.clone()).collect();
        let probes = ProbeSet::from_send_format(self.vector_type, self.metric, &values)?;
        let index = self.index.clone();
        Ok(Some(compute(move || index.exact_neighbours(&probes, FETCH)).await??))
    }
}

enum Match {
    /// At this position of the candidates.
    Root(usize),
    NotIndexed,
    Unclear,
}

fn matching(nearest: &Neighbours, query: usize, metric: Metric, candidates: &[Tid]) -> Match {
    let rows = nearest.rows.get(query).map_or(&[][..], Vec::as_slice);
    let to_itself = if metric == Metric::Cosine { -1.0 } else { 0.0 };
    let same = |distance: f32| distance - to_itself <= TOLERANCE;
    let found = rows
        .iter()
        .take_while(|(_, distance)| same(*distance))
        .find_map(|(tid, _)| candidates.iter().position(|c| c == tid));
    match found {
        Some(at) => Match::Root(at),
        None if rows.len() >= FETCH && rows.iter().all(|(_, distance)| same(*distance)) => Match::Unclear,
        None => Match::NotIndexed,
    }
}
