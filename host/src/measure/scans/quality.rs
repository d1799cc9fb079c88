use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::blocking::compute;
use super::super::decode::decode;
use super::super::simulation::Simulation;
use super::super::{MeasureError, MeasureOptions, Opened, Subject};
use super::session::{Others, ScanSession};
use super::{Statements, exact_rows};
use crate::model::{IndexDefinition, Measured, Silent, Tid};
use crate::pgvector::ProbeSet;
use crate::postgres::Connector;
use crate::postgres::PageAccess;

/// Scans of the latency pass.
const LATENCY_SCANS: usize = 200;
/// Probes whose exact neighbours are found by sequential scans, where pages cannot be read.
const PROBES_WITHOUT_PAGES: usize = 50;

/// A query and what it should return: TIDs of visible rows.
#[derive(Clone, Debug)]
pub(in super::super) struct ScanProbe {
    pub literal: String,
    /// Rows that do not count, because the query is made of them.
    pub own: HashSet<Tid>,
    /// Every row at most as far away as the k-th.
    pub acceptable: HashSet<Tid>,
    /// min(k, rows that there are).
    pub wanted: usize,
}

impl ScanProbe {
    /// `nearest`: visible rows that are not the query's own, ascending by distance.
    pub(in super::super) fn new<D: PartialOrd + Copy>(
        literal: String,
        own: HashSet<Tid>,
        nearest: &[(Tid, D)],
        k: usize,
    ) -> Self {
        let wanted = k.min(nearest.len());
        let furthest = wanted.checked_sub(1).and_then(|last| nearest.get(last)).map(|(_, distance)| *distance);
        let acceptable = nearest
            .iter()
            .take_while(|(_, distance)| furthest.is_some_and(|furthest| *distance <= furthest))
            .map(|(tid, _)| *tid)
            .collect();
        ScanProbe { literal, own, acceptable, wanted }
    }

    /// Recall of the rows that a scan returned; None where there was nothing to find.
    pub(in super::super) fn recall(&self, returned: &[Tid]) -> Option<f64> {
        if self.wanted == 0 {
            return None;
        }
        let others = returned.iter().filter(|tid| !self.own.contains(tid)).take(self.wanted);
        let hits = others.filter(|tid| self.acceptable.contains(tid)).count();
        Some(hits as f64 / self.wanted as f64)
    }
}

/// What real scans of the probes gave.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct ScanQuality {
    /// Per query that has something to find.
    pub recall: Vec<f64>,
    /// Rows that a query with LIMIT k returned.
    pub rows_returned: Vec<usize>,
}

impl ScanQuality {
    pub(in super::super) fn mean(&self) -> Option<f64> {
        let count = self.recall.len();
        (count > 0).then(|| self.recall.iter().sum::<f64>() / count as f64)
    }
}

/// Scans for every probe with the parameter at `value`.
pub(in super::super) async fn run(
    scans: &ScanSession,
    probes: &[ScanProbe],
    value: u32,
    k: usize,
) -> Result<ScanQuality, MeasureError> {
    let mut quality = ScanQuality::default();
    let Some(first) = probes.first() else { return Ok(quality) };
    let own_most = probes.iter().map(|probe| probe.own.len()).max().unwrap_or(0);
    let statement = scans.prepare(value, k + own_most, &first.literal).await?;
    for probe in probes {
        let (rows, _) = scans.scan(&statement, &probe.literal).await?;
        quality.recall.extend(probe.recall(&rows));
        quality.rows_returned.push(rows.len().min(k));
    }
    Ok(quality)
}

/// Recall at `k` and mean latency in ms of real scans of this index alone, with its search parameter at `parameter`.
/// Other vector indexes of the table are hidden in a transaction that is rolled back, which needs a superuser. The
/// latency is that of a second pass, with warm caches, and includes the way to the server and back.
///
/// # Errors
/// `NotAnswered` where another index, or none, answers the queries, and where there is nothing to find.
pub async fn real_scan_quality(
    connector: &Connector,
    index: &IndexDefinition,
    parameter: u32,
    probes: &ProbeSet,
    k: usize,
) -> Result<(f64, f64), MeasureError> {
    let options = MeasureOptions { k: u32::try_from(k).unwrap_or(u32::MAX), ..MeasureOptions::default() };
    let subject = open(connector, index, &options, parameter).await?;
    let (scan_probes, scans) = match subject.facts.page_access {
        PageAccess::None { .. } => probes_by_scans(&subject, probes, k).await?,
        _ => probes_by_pages(&subject, probes, k).await?,
    };
    let quality = run(&scans, &scan_probes, parameter, k).await?;
    let latency = latency_ms(&scans, &scan_probes, parameter, k).await?;
    scans.close().await?;
    let recall = quality.mean().ok_or_else(|| MeasureError::NotAnswered("there is no row to be found".to_owned()))?;
    Ok((recall, latency))
}

/// Mean latency in ms of real scans of this index alone; as `real_scan_quality`, without exact neighbours.
pub async fn scan_latency_ms(
    connector: &Connector,
    index: &IndexDefinition,
    parameter: u32,
    probes: &ProbeSet,
    k: usize,
) -> Result<f64, MeasureError> {
    let options = MeasureOptions::default();
    let subject = open(connector, index, &options, parameter).await?;
    let probes: Vec<ScanProbe> = (0..probes.len().min(LATENCY_SCANS))
        .map(|i| ScanProbe { literal: probes.literal(i), own: HashSet::new(), acceptable: HashSet::new(), wanted: 0 })
        .collect();
    let scans = subject.scans(None, Others::Hide).await?;
    run(&scans, &probes, parameter, k).await?;
    let latency = latency_ms(&scans, &probes, parameter, k).await?;
    scans.close().await?;
    Ok(latency)
}

async fn open<'a>(
    connector: &'a Connector,
    index: &IndexDefinition,
    options: &'a MeasureOptions,
    parameter: u32,
) -> Result<Box<Subject<'a>>, MeasureError> {
    match Subject::open(connector, index, options, Some(Measured::Known(parameter)), &Silent).await? {
        Opened::Subject(subject) => Ok(subject),
        Opened::Unreadable { reason, .. } => Err(MeasureError::NotAnswered(reason)),
    }
}

async fn latency_ms(scans: &ScanSession, probes: &[ScanProbe], value: u32, k: usize) -> Result<f64, MeasureError> {
    let Some(first) = probes.first() else {
        return Err(MeasureError::NotAnswered("there is no probe query".to_owned()));
    };
    let statement = scans.prepare(value, k, &first.literal).await?;
    let mut total = Duration::ZERO;
    let mut count = 0u32;
    for probe in probes.iter().take(LATENCY_SCANS) {
        total += scans.scan(&statement, &probe.literal).await?.1;
        count += 1;
    }
    Ok(total.as_secs_f64() * 1_000.0 / f64::from(count))
}

/// Exact neighbours from the pages, seen by the same snapshot as the scans.
async fn probes_by_pages(
    subject: &Subject<'_>,
    probes: &ProbeSet,
    k: usize,
) -> Result<(Vec<ScanProbe>, ScanSession), MeasureError> {
    let (index, _) = decode(subject).await.map_err(|e| e.or_dropped(&subject.index.name.qualified()))?;
    if !index.vectors_kept() {
        return probes_by_scans(subject, probes, k).await;
    }
    let index = Arc::new(index);
    let probes = Arc::new(probes.rebased_on(&index)?);
    let mut simulation = Simulation::prepare(subject, index, probes.clone()).await?;
    let snapshot = simulation.visibility.export().await?;
    let scans = subject.scans(Some(&snapshot), Others::Hide).await?;
    let rows = simulation.visible_neighbours().await?;
    let literals = {
        let probes = probes.clone();
        compute(move || (0..probes.len()).map(|i| probes.literal(i)).collect::<Vec<_>>()).await?
    };
    let mut own = Vec::with_capacity(literals.len());
    for i in 0..literals.len() {
        simulation.resolve(probes.own_tids(i)).await?;
        own.push(probes.own_tids(i).iter().filter_map(|tid| simulation.visibility.visible_row(*tid)).collect());
    }
    let scan_probes =
        literals.into_iter().zip(own).zip(&rows).map(|((literal, own), near)| ScanProbe::new(literal, own, near, k));
    let scan_probes = scan_probes.collect();
    simulation.visibility.release().await?;
    Ok((scan_probes, scans))
}

/// Exact neighbours of the first probes by sequential scans.
async fn probes_by_scans(
    subject: &Subject<'_>,
    probes: &ProbeSet,
    k: usize,
) -> Result<(Vec<ScanProbe>, ScanSession), MeasureError> {
    let scans = subject.scans(None, Others::Hide).await?;
    scans.without_indexes().await?;
    let mut scan_probes = Vec::new();
    for i in 0..probes.len().min(PROBES_WITHOUT_PAGES) {
        let own = probes.own_tids(i).iter().copied().collect();
        scan_probes.push(exact_rows(&scans, probes.literal(i), own, k).await?);
    }
    Ok((scan_probes, scans))
}

impl Subject<'_> {
    pub(in super::super) async fn scans(
        &self,
        snapshot: Option<&str>,
        others: Others,
    ) -> Result<ScanSession, MeasureError> {
        let statements = Statements::new(&self.index, self.vector_type, &self.facts);
        ScanSession::open(self.connector, &self.index, &self.facts, statements, snapshot, others).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tid(offset: u16) -> Tid {
        Tid { block: 0, offset }
    }

    fn check(nearest: &[(u16, f64)], own: &[u16], returned: &[u16], k: usize, expected: Option<f64>) {
        let nearest: Vec<_> = nearest.iter().map(|(o, d)| (tid(*o), *d)).collect();
        let own = own.iter().map(|o| tid(*o)).collect();
        let probe = ScanProbe::new(String::new(), own, &nearest, k);
        let returned: Vec<_> = returned.iter().map(|o| tid(*o)).collect();
        assert_eq!(probe.recall(&returned), expected);
    }

    #[test]
    fn recall_counts_ties_and_leaves_the_own_row_out() {
        let near = [(1, 0.1), (2, 0.2), (3, 0.2), (4, 0.9)];
        check(&near, &[], &[1, 2], 2, Some(1.0));
        check(&near, &[], &[1, 3], 2, Some(1.0));
        check(&near, &[], &[1, 4], 2, Some(0.5));
        check(&near, &[9], &[9, 1, 3], 2, Some(1.0));
        check(&near, &[], &[4, 3, 2, 1], 10, Some(1.0));
        check(&near, &[], &[], 10, Some(0.0));
        check(&[], &[], &[], 10, None);
    }
}
