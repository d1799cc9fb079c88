use std::sync::Arc;

use super::blocking::compute;
use super::value_match::ValueMatcher;
use super::{MeasureError, Subject, awaiting};
use crate::model::Tid;
use crate::pgvector::{DecodedIndex, Evaluation, EvaluationOutcome, Liveness, Neighbours, ProbeSet, SearchRun};
use crate::postgres::liveness::RowVisibility;

/// Exact neighbours beyond k that are looked for at once, so that dead rows among them seldom need a second pass.
const SPARE_FACTOR: usize = 4;
const SPARE: usize = 16;
/// Rows kept of what a search returns (HNSW: all are), so that dead rows among the nearest seldom need a second search.
const ROWS_KEPT: usize = 250;
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
    /// Finds the exact neighbours, and the visibility of the rows that `awaiting` counts.
    pub(super) async fn prepare(
        subject: &Subject<'_>,
        index: Arc<DecodedIndex>,
        probes: Arc<ProbeSet>,
    ) -> Result<Self, MeasureError> {
        let k = subject.options.k as usize;
        subject.progress.phase("exact neighbours of the probe queries", None);
        let neighbours = exact(&index, &probes, (k * SPARE_FACTOR).max(k + SPARE));
        // PostgreSQL works while this computes.
        let rows = async {
            let mut visibility = RowVisibility::open(subject.connector, &subject.index.name, &subject.facts).await?;
            let mut matcher = ValueMatcher::new(subject, index.clone());
            visibility.resolve(&awaiting::rows_to_look_up(&index)).await?;
            matcher.settle(&mut visibility).await?;
            visibility.release().await?;
            Ok((visibility, matcher))
        };
        let (neighbours, (visibility, matcher)) = tokio::try_join!(neighbours, rows)?;
        Ok(Simulation { index, probes, neighbours, liveness: Liveness::new(), visibility, matcher, k })
    }

    /// What index scans with the parameter at each of `parameters` return, and how good that is. Values that are asked
    /// for together cost little more than the largest alone. No snapshot is held while the searches are computed, nor
    /// afterwards.
    pub(super) async fn at_each(&mut self, parameters: &[u32]) -> Result<Vec<Evaluation>, MeasureError> {
        let rows_kept = ROWS_KEPT.max(self.k.saturating_mul(SPARE_FACTOR));
        let mut runs = self.search(parameters.to_vec(), rows_kept).await?;
        loop {
            let (outcomes, liveness) = self.evaluate(runs.clone()).await?;
            self.liveness = liveness;
            let needs = Needs::of(&outcomes);
            if !needs.tids.is_empty() {
                self.resolve(&needs.tids).await?;
            } else if let Some(fetch) = needs.neighbours {
                self.neighbours = exact(&self.index, &self.probes, fetch).await?;
            } else if let Some(rows_kept) = needs.rows {
                runs = self.search(parameters.to_vec(), rows_kept).await?;
            } else {
                self.visibility.release().await?;
                return Ok(outcomes.into_iter().filter_map(done).collect());
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

    async fn search(&self, parameters: Vec<u32>, rows_kept: usize) -> Result<Arc<Vec<SearchRun>>, MeasureError> {
        let (index, probes) = (self.index.clone(), self.probes.clone());
        Ok(Arc::new(compute(move || index.search_each(&probes, &parameters, rows_kept)).await??))
    }

    async fn evaluate(
        &mut self,
        runs: Arc<Vec<SearchRun>>,
    ) -> Result<(Vec<EvaluationOutcome>, Liveness), MeasureError> {
        let (index, neighbours, k) = (self.index.clone(), self.neighbours.clone(), self.k);
        let liveness = std::mem::take(&mut self.liveness);
        compute(move || {
            let outcomes = runs.iter().map(|run| index.evaluate(&neighbours, run, k, &liveness)).collect();
            (outcomes, liveness)
        })
        .await
    }
}

/// What several evaluations still need.
#[derive(Default)]
struct Needs {
    tids: Vec<Tid>,
    neighbours: Option<usize>,
    rows: Option<usize>,
}

impl Needs {
    fn of(outcomes: &[EvaluationOutcome]) -> Self {
        let mut needs = Needs::default();
        for outcome in outcomes {
            match outcome {
                EvaluationOutcome::Done(_) => {}
                EvaluationOutcome::NeedLiveness(tids) => needs.tids.extend(tids),
                EvaluationOutcome::NeedMoreNeighbours { fetch } => {
                    needs.neighbours = needs.neighbours.max(Some(*fetch));
                }
                EvaluationOutcome::NeedMoreRows { rows_kept } => needs.rows = needs.rows.max(Some(*rows_kept)),
            }
        }
        needs.tids.sort_unstable();
        needs.tids.dedup();
        needs
    }
}

fn done(outcome: EvaluationOutcome) -> Option<Evaluation> {
    match outcome {
        EvaluationOutcome::Done(evaluation) => Some(evaluation),
        _ => None,
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
