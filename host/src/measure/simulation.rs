use std::sync::Arc;

use super::blocking::compute;
use super::value_match::ValueMatcher;
use super::{MeasureError, Subject};
use crate::model::Tid;
use crate::pgvector::{DecodedIndex, Evaluation, EvaluationOutcome, Liveness, Neighbours, ProbeSet, SearchRun};
use crate::postgres::liveness::RowVisibility;

/// Exact neighbours beyond k that are looked for at once, so that dead rows among them seldom need a second pass.
const SPARE_FACTOR: usize = 4;
const SPARE: usize = 16;
/// Rows of one query that are looked at for ties with the k-th.
const TIES_AT_MOST: usize = 2_000;

/// Searches on the decoded index, evaluated against exact neighbours and the heap's visibility.
pub(super) struct Simulation {
    pub index: Arc<DecodedIndex>,
    pub probes: Arc<ProbeSet>,
    neighbours: Arc<Neighbours>,
    liveness: Liveness,
    pub visibility: RowVisibility,
    matcher: ValueMatcher,
    k: usize,
}

impl Simulation {
    /// Finds the exact neighbours.
    pub(super) async fn prepare(
        subject: &Subject<'_>,
        index: Arc<DecodedIndex>,
        probes: Arc<ProbeSet>,
    ) -> Result<Self, MeasureError> {
        let k = subject.options.k as usize;
        subject.progress.phase("exact neighbours of the probe queries", None);
        let neighbours = exact(&index, &probes, (k * SPARE_FACTOR).max(k + SPARE)).await?;
        let visibility = RowVisibility::open(subject.connector, &subject.index.name, &subject.facts).await?;
        let matcher = ValueMatcher::new(subject, index.clone());
        Ok(Simulation { index, probes, neighbours, liveness: Liveness::new(), visibility, matcher, k })
    }

    /// What index scans with the parameter at `parameter` return, and how good that is. No snapshot is held while the
    /// searches are computed, nor afterwards.
    pub(super) async fn at(&mut self, parameter: u32) -> Result<Evaluation, MeasureError> {
        let mut run = Arc::new(self.search(parameter, None).await?);
        loop {
            let (outcome, liveness) = self.evaluate(run.clone()).await?;
            self.liveness = liveness;
            match outcome {
                EvaluationOutcome::Done(evaluation) => {
                    self.visibility.release().await?;
                    return Ok(evaluation);
                }
                EvaluationOutcome::NeedLiveness(tids) => self.resolve(&tids).await?,
                EvaluationOutcome::NeedMoreNeighbours { fetch } => {
                    self.neighbours = exact(&self.index, &self.probes, fetch).await?;
                }
                EvaluationOutcome::NeedMoreRows { rows_kept } => {
                    run = Arc::new(self.search(parameter, Some(rows_kept)).await?);
                }
            }
        }
    }

    /// Finds out which of these rows the snapshot sees.
    pub(super) async fn resolve(&mut self, tids: &[Tid]) -> Result<(), MeasureError> {
        self.visibility.resolve(tids).await?;
        self.matcher.settle(&mut self.visibility).await?;
        for tid in tids {
            if let Some(visible) = self.visibility.is_visible(*tid) {
                self.liveness.insert(*tid, visible);
            }
        }
        Ok(())
    }

    /// Whether any query has a visible row to find, other than its own.
    pub(super) async fn anything_to_find(&mut self) -> Result<bool, MeasureError> {
        // Most queries have one among their nearest: a few decide it, and only an index of dead rows needs all.
        for near in [1, usize::MAX] {
            let tids: Vec<Tid> =
                self.neighbours.rows.iter().flat_map(|rows| rows.iter().take(near)).map(|(tid, _)| *tid).collect();
            self.resolve(&tids).await?;
            if tids.iter().any(|tid| self.visibility.is_visible(*tid) == Some(true)) {
                return Ok(true);
            }
        }
        Ok(self.visible_neighbours().await?.iter().any(|near| !near.is_empty()))
    }

    /// Per query the exact nearest visible rows other than its own: at least `k` where there are so many. The TIDs
    /// are those of the rows themselves, as a query's `ctid` shows them, not of their chains' roots.
    pub(super) async fn visible_neighbours(&mut self) -> Result<Vec<Vec<(Tid, f32)>>, MeasureError> {
        loop {
            let tids: Vec<Tid> = self.neighbours.rows.iter().flatten().map(|(tid, _)| *tid).collect();
            self.resolve(&tids).await?;
            let visible: Vec<Vec<(Tid, f32)>> = self
                .neighbours
                .rows
                .iter()
                .map(|near| near.iter().filter_map(|(tid, d)| Some((self.visibility.visible_row(*tid)?, *d))).collect())
                .collect();
            // A list that ends among rows as far away as the k-th does not hold all of these.
            let suffices = |near: &Vec<(Tid, f32)>| match (near.get(self.k.saturating_sub(1)), near.last()) {
                (Some((_, kth)), Some((_, last))) => last > kth || near.len() >= TIES_AT_MOST,
                _ => false,
            };
            if self.neighbours.complete || visible.iter().all(suffices) {
                return Ok(visible);
            }
            self.neighbours = exact(&self.index, &self.probes, self.neighbours.fetch * SPARE_FACTOR).await?;
        }
    }

    async fn search(&self, parameter: u32, rows_kept: Option<usize>) -> Result<SearchRun, MeasureError> {
        let (index, probes) = (self.index.clone(), self.probes.clone());
        Ok(compute(move || match rows_kept {
            Some(rows_kept) => index.search_keeping(&probes, parameter, rows_kept),
            None => index.search(&probes, parameter),
        })
        .await??)
    }

    async fn evaluate(&mut self, run: Arc<SearchRun>) -> Result<(EvaluationOutcome, Liveness), MeasureError> {
        let (index, neighbours, k) = (self.index.clone(), self.neighbours.clone(), self.k);
        let liveness = std::mem::take(&mut self.liveness);
        compute(move || (index.evaluate(&neighbours, &run, k, &liveness), liveness)).await
    }
}

async fn exact(
    index: &Arc<DecodedIndex>,
    probes: &Arc<ProbeSet>,
    fetch: usize,
) -> Result<Arc<Neighbours>, MeasureError> {
    let (index, probes) = (index.clone(), probes.clone());
    Ok(Arc::new(compute(move || index.exact_neighbours(&probes, fetch)).await??))
}
