use crate::model::{Tid, TidMap};

/// Per query the exact nearest rows of an index.
#[derive(Clone, Debug)]
pub struct Neighbours {
    /// Ascending by distance, the query's own rows left out.
    pub(crate) rows: Vec<Vec<(Tid, f32)>>,
    pub(crate) own_tids: Vec<Vec<Tid>>,
    pub(crate) fetch: usize,
    /// The lists hold every row of the index: asking for more gives nothing more.
    pub(crate) complete: bool,
}

/// What a search returns for each query.
#[derive(Clone, Debug, Default)]
pub struct SearchRun {
    /// `ef_search` or `probes`.
    pub parameter: u32,
    /// In the order in which the index scan returns them; the query's own rows are among them.
    pub(crate) rows: Vec<Vec<(Tid, f32)>>,
    pub(crate) rows_kept: usize,
    /// Whether rows beyond the ones kept were dropped, per query.
    pub(crate) truncated: Vec<bool>,
    /// Distance computations, per query.
    pub(crate) cost: Vec<u32>,
    /// Neighbour links to deleted or missing elements that the searches met; pgvector would raise an error there.
    pub broken_links: u64,
}

/// Which heap rows a new snapshot sees. The TIDs are those of the index: roots of HOT chains.
#[derive(Clone, Debug, Default)]
pub struct Liveness {
    live: TidMap<bool>,
}

impl Liveness {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn insert(&mut self, tid: Tid, is_live: bool) {
        self.live.insert(tid, is_live);
    }

    pub fn get(&self, tid: Tid) -> Option<bool> {
        self.live.get(&tid).copied()
    }

    pub fn len(&self) -> usize {
        self.live.len()
    }

    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }
}

/// How well the searches of one parameter answered. Only visible rows count.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Per query, 0 to 1: visible rows among the first k returned whose distance is at most the exact k-th
    /// visible one's, over min(k, visible rows that there are). 1 where there is none to be found.
    pub recall: Vec<f64>,
    pub mean: f64,
    /// The recall that 95 % of the queries reach.
    pub p5: f64,
    /// Share of the queries with recall below 0.5.
    pub share_below_half: f64,
    /// Share of the queries with recall below 0.1.
    pub blind_share: f64,
    /// Mean number of visible rows (the query's own included) that a LIMIT k query gets back.
    pub rows_returned_mean: f64,
    /// Mean number of distance computations.
    pub cost_mean: f64,
}

/// An evaluation, or what it still needs.
#[derive(Clone, Debug, PartialEq)]
pub enum EvaluationOutcome {
    Done(Evaluation),
    /// Resolve these (ascending), insert them into the liveness and evaluate again.
    NeedLiveness(Vec<Tid>),
    /// Dead rows used up the exact lists: ask `exact_neighbours` for at least so many.
    NeedMoreNeighbours {
        fetch: usize,
    },
    /// Dead rows used up the rows kept of a search: ask `search_keeping` for at least so many.
    NeedMoreRows {
        rows_kept: usize,
    },
}

/// Distances differ by the order of their summation; ties must stay ties.
const RELATIVE_TOLERANCE: f32 = 1e-6;
const BLIND_RECALL: f64 = 0.1;
const HALF_RECALL: f64 = 0.5;

impl Neighbours {
    /// Per query its rows with their distances, ascending.
    pub fn rows(&self) -> &[Vec<(Tid, f32)>] {
        &self.rows
    }
}

impl SearchRun {
    /// Per query the rows in the order in which an index scan returns them.
    pub fn rows(&self) -> &[Vec<(Tid, f32)>] {
        &self.rows
    }

    /// Per query the number of distance computations.
    pub fn cost(&self) -> &[u32] {
        &self.cost
    }
}

pub(crate) fn evaluate(neighbours: &Neighbours, run: &SearchRun, k: usize, liveness: &Liveness) -> EvaluationOutcome {
    let mut needs = Needs::default();
    let mut recall = Vec::with_capacity(run.rows.len());
    let mut rows_returned = 0;
    for (query, returned) in run.rows.iter().enumerate() {
        let own = &neighbours.own_tids[query];
        let exact = nearest_live(&neighbours.rows[query], k, liveness, &mut needs.tids);
        needs.more_neighbours |= exact.is_short && !neighbours.complete;
        let limit = exact.furthest + exact.furthest.abs() * RELATIVE_TOLERANCE;
        let answer = answer(returned, own, k, limit, liveness, &mut needs.tids);
        needs.more_rows |= answer.is_short && run.truncated[query];
        let possible = exact.count;
        recall.push(if possible == 0 { 1.0 } else { answer.hits.min(possible) as f64 / possible as f64 });
        rows_returned += answer.rows;
    }
    if let Some(outcome) = needs.outcome(neighbours, run) {
        return outcome;
    }
    EvaluationOutcome::Done(summarise(recall, rows_returned, &run.cost))
}

fn summarise(recall: Vec<f64>, rows_returned: usize, cost: &[u32]) -> Evaluation {
    let count = recall.len().max(1) as f64;
    let share_below = |limit: f64| recall.iter().filter(|r| **r < limit).count() as f64 / count;
    let mut sorted = recall.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let p5 = sorted.get(recall.len() / 20).copied().unwrap_or(1.0);
    Evaluation {
        mean: if recall.is_empty() { 1.0 } else { recall.iter().sum::<f64>() / count },
        p5,
        share_below_half: share_below(HALF_RECALL),
        blind_share: share_below(BLIND_RECALL),
        rows_returned_mean: rows_returned as f64 / count,
        cost_mean: cost.iter().map(|c| f64::from(*c)).sum::<f64>() / count,
        recall,
    }
}

#[derive(Default)]
struct Needs {
    tids: Vec<Tid>,
    more_neighbours: bool,
    more_rows: bool,
}

impl Needs {
    fn outcome(mut self, neighbours: &Neighbours, run: &SearchRun) -> Option<EvaluationOutcome> {
        if !self.tids.is_empty() {
            self.tids.sort_unstable();
            self.tids.dedup();
            Some(EvaluationOutcome::NeedLiveness(self.tids))
        } else if self.more_neighbours {
            Some(EvaluationOutcome::NeedMoreNeighbours { fetch: neighbours.fetch.max(1).saturating_mul(4) })
        } else if self.more_rows {
            Some(EvaluationOutcome::NeedMoreRows { rows_kept: run.rows_kept.max(1).saturating_mul(4) })
        } else {
            None
        }
    }
}

/// The first k visible rows of an exact list.
struct Exact {
    count: usize,
    furthest: f32,
    /// Fewer than k even if every unresolved row were visible.
    is_short: bool,
}

fn nearest_live(rows: &[(Tid, f32)], k: usize, liveness: &Liveness, needed: &mut Vec<Tid>) -> Exact {
    let mut exact = Exact { count: 0, furthest: f32::NEG_INFINITY, is_short: false };
    let mut unresolved = 0;
    for (tid, distance) in rows {
        if exact.count + unresolved == k {
            return exact;
        }
        match liveness.get(*tid) {
            Some(true) => {
                exact.count += 1;
                exact.furthest = *distance;
            }
            Some(false) => {}
            None => {
                unresolved += 1;
                needed.push(*tid);
            }
        }
    }
    exact.is_short = exact.count + unresolved < k;
    exact
}

/// What a LIMIT k query makes of a search.
struct Answer {
    hits: usize,
    /// Visible rows, the query's own included, up to k.
    rows: usize,
    /// The search returned fewer than k rows even if every unresolved one were visible.
    is_short: bool,
}

fn answer(
    returned: &[(Tid, f32)],
    own: &[Tid],
    k: usize,
    limit: f32,
    liveness: &Liveness,
    needed: &mut Vec<Tid>,
) -> Answer {
    let mut answer = Answer { hits: 0, rows: 0, is_short: false };
    let (mut others, mut own_rows, mut unresolved) = (0, 0, 0);
    for (tid, distance) in returned {
        if others + unresolved == k {
            break;
        }
        match (liveness.get(*tid), own.contains(tid)) {
            (Some(true), true) => own_rows += 1,
            (Some(true), false) => {
                others += 1;
                answer.hits += usize::from(*distance <= limit);
            }
            (Some(false), _) => {}
            (None, is_own) => {
                unresolved += usize::from(!is_own);
                needed.push(*tid);
            }
        }
    }
    answer.rows = (others + own_rows).min(k);
    answer.is_short = others + unresolved < k;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tid(n: u32) -> Tid {
        Tid { block: n, offset: 1 }
    }

    fn rows(list: &[(u32, f32)]) -> Vec<(Tid, f32)> {
        list.iter().map(|(n, distance)| (tid(*n), *distance)).collect()
    }

    fn neighbours(list: &[(u32, f32)], own: &[u32], complete: bool) -> Neighbours {
        let own_tids = vec![own.iter().map(|n| tid(*n)).collect()];
        Neighbours { rows: vec![rows(list)], own_tids, fetch: list.len(), complete }
    }

    fn run(list: &[(u32, f32)], truncated: bool) -> SearchRun {
        SearchRun {
            rows: vec![rows(list)],
            truncated: vec![truncated],
            cost: vec![7],
            rows_kept: list.len(),
            ..SearchRun::default()
        }
    }

    fn live(visible: &[u32], dead: &[u32]) -> Liveness {
        let mut liveness = Liveness::new();
        visible.iter().for_each(|n| liveness.insert(tid(*n), true));
        dead.iter().for_each(|n| liveness.insert(tid(*n), false));
        liveness
    }

    fn done(outcome: EvaluationOutcome) -> Evaluation {
        match outcome {
            EvaluationOutcome::Done(evaluation) => evaluation,
            other => panic!("{other:?}"),
        }
    }

    const EXACT: [(u32, f32); 4] = [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)];

    #[test]
    fn hits_are_counted_by_distance() {
        let check = |returned: &[(u32, f32)], expected: f64| {
            let liveness = live(&[1, 2, 3, 4, 5, 6], &[]);
            let found = done(evaluate(&neighbours(&EXACT, &[], false), &run(returned, false), 2, &liveness));
            assert_eq!(found.mean, expected, "{returned:?}");
        };
        check(&[(1, 0.1), (2, 0.2)], 1.0);
        check(&[(1, 0.1), (3, 0.3)], 0.5);
        // A tie of the second counts as it.
        check(&[(1, 0.1), (5, 0.2)], 1.0);
        check(&[(5, 0.5), (6, 0.6), (1, 0.1)], 0.0);
        check(&[], 0.0);
    }

    #[test]
    fn dead_and_own_rows_do_not_count() {
        let liveness = live(&[1, 3, 4, 9], &[2]);
        let exact = neighbours(&EXACT, &[9], true);
        let found = done(evaluate(&exact, &run(&[(9, 0.0), (2, 0.2), (1, 0.1), (3, 0.3)], false), 2, &liveness));
        assert_eq!((found.mean, found.rows_returned_mean, found.cost_mean), (1.0, 2.0, 7.0));
        let found = done(evaluate(&exact, &run(&[(9, 0.0), (2, 0.2)], false), 2, &liveness));
        assert_eq!((found.mean, found.rows_returned_mean, found.blind_share), (0.0, 1.0, 1.0));
    }

    #[test]
    fn few_rows_are_all_that_can_be_found() {
        let exact = neighbours(&EXACT[..1], &[], true);
        let found = done(evaluate(&exact, &run(&[(1, 0.1)], false), 10, &live(&[1], &[])));
        assert_eq!(found.mean, 1.0);
        let found = done(evaluate(&neighbours(&[], &[], true), &run(&[], false), 10, &Liveness::new()));
        assert_eq!((found.mean, found.rows_returned_mean), (1.0, 0.0));
    }

    #[test]
    fn what_is_missing_is_asked_for() {
        let check = |exact: &Neighbours, run: &SearchRun, liveness: &Liveness, expected| {
            assert_eq!(evaluate(exact, run, 2, liveness), expected);
        };
        let exact = neighbours(&EXACT, &[], false);
        let both = run(&[(2, 0.2), (5, 0.5), (6, 0.6)], true);
        let need = |numbers: &[u32]| EvaluationOutcome::NeedLiveness(numbers.iter().map(|n| tid(*n)).collect());
        check(&exact, &both, &Liveness::new(), need(&[1, 2, 5]));
        check(&exact, &both, &live(&[1], &[2]), need(&[3, 5, 6]));
        check(&exact, &both, &live(&[], &[1, 2, 3, 4, 5, 6]), EvaluationOutcome::NeedMoreNeighbours { fetch: 16 });
        check(&exact, &both, &live(&[1, 3], &[2, 5, 6]), EvaluationOutcome::NeedMoreRows { rows_kept: 12 });
    }

    #[test]
    fn the_distribution_is_told() {
        let recall = (0..100)
            .map(|i| {
                if i < 4 {
                    0.05
                } else if i < 10 {
                    0.4
                } else {
                    1.0
                }
            })
            .collect();
        let found = summarise(recall, 950, &[10; 100]);
        assert_eq!((found.blind_share, found.share_below_half, found.p5), (0.04, 0.1, 0.4));
        assert_eq!((found.rows_returned_mean, found.cost_mean), (9.5, 10.0));
        assert!((found.mean - (4.0 * 0.05 + 6.0 * 0.4 + 90.0) / 100.0).abs() < 1e-12);
    }
}
