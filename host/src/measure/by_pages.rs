use std::sync::Arc;

use super::awaiting;
use super::blocking::compute_with_progress;
use super::simulation::Simulation;
use super::{
    Begun, MeasureError, Measurement, Subject, by_scans, decode, grid, notes, queries, structure, unknown, unmeasured,
};
use crate::model::{AccessMethod, CurvePoint, IndexHealth, Measured, SearchQuality, Tid, Unfindable};
use crate::pgvector::{DecodedIndex, Evaluation, ProbeSet, StructureHealth, UnfindableReport};

/// Measures from one pass over the pages.
pub(super) async fn measure(
    subject: &Subject<'_>,
    given: Option<Arc<ProbeSet>>,
    begun: Option<Begun>,
) -> Result<Measurement, MeasureError> {
    let name = subject.index.name.qualified();
    let (index, report, known) = match begun {
        Some(begun) => (begun.index, begun.pages, Some(begun.unfindable)),
        None => match decode::decode(subject).await {
            Ok((index, report)) => (Arc::new(index), report, None),
            Err(MeasureError::Undecodable(error)) => {
                let reason = format!("the index cannot be decoded: {error}");
                let parameter = subject.parameter.clone();
                return Ok(unmeasured(unknown::health(&subject.index, subject.options, parameter, &reason)));
            }
            Err(error) => return Err(error.or_dropped(&name)),
        },
    };
    let health = index.health();
    let mut measurement = searches(subject, &index, &health, given, known).await.map_err(|e| e.or_dropped(&name))?;
    measurement.health.notes.extend(notes::of_pace(&report));
    if structure::gaps(&health).is_none() {
        measurement.health.notes.extend(structure::notes(&health));
    }
    Ok(measurement)
}

async fn searches(
    subject: &Subject<'_>,
    index: &Arc<DecodedIndex>,
    health: &StructureHealth,
    given: Option<Arc<ProbeSet>>,
    known: Option<UnfindableReport>,
) -> Result<Measurement, MeasureError> {
    let method = subject.index.name.method;
    let options = subject.options;
    let with_search = |search: SearchQuality, awaiting: Measured<u64>| IndexHealth {
        size_bytes: subject.index.size_bytes,
        search,
        structure: match structure::gaps(health) {
            Some(reason) => unknown::structure(method, &reason),
            None => structure::of(health.clone(), awaiting, options.built_at),
        },
        notes: Vec::new(),
    };
    let without_searches = |reason: &str| {
        let awaiting =
            if structure::live(health) == 0 { awaiting::without_rows(health) } else { Measured::unknown(reason) };
        unmeasured(with_search(unknown::search(options, subject.parameter.clone(), reason), awaiting))
    };
    if let Some(reason) = structure::gaps(health) {
        return Ok(without_searches(&reason));
    }
    if structure::live(health) == 0 {
        return Ok(without_searches("the index is empty"));
    }
    if !index.vectors_kept() {
        return by_scans::measure_large(subject, with_search).await;
    }
    let probes = probes(subject, index, given).await?;
    match simulate(subject, index, health, &probes, known).await {
        Ok(found) => {
            let mut health = with_search(found.search, found.awaiting);
            health.notes = found.notes;
            Ok(Measurement { health, unfindable_rows: found.unfindable_rows, probes: Some(probes) })
        }
        Err(error) => match error.refusal() {
            Some(reason) => Ok(without_searches(&reason)),
            None => Err(error),
        },
    }
}

/// What simulated searches and the heap say.
struct Found {
    search: SearchQuality,
    awaiting: Measured<u64>,
    unfindable_rows: Vec<Tid>,
    notes: Vec<String>,
}

async fn simulate(
    subject: &Subject<'_>,
    index: &Arc<DecodedIndex>,
    health: &StructureHealth,
    probes: &Arc<ProbeSet>,
    known: Option<UnfindableReport>,
) -> Result<Found, MeasureError> {
    let mut simulation = Simulation::prepare(subject, index.clone(), probes.clone()).await?;
    let awaiting = awaiting::count(&simulation, health);
    let anything_to_find = simulation.anything_to_find().await?;
    simulation.visibility.release().await?;
    let mut found = Found {
        search: unknown::search(
            subject.options,
            subject.parameter.clone(),
            "the index holds no visible row for a query to find, other than the query's own",
        ),
        awaiting,
        unfindable_rows: Vec::new(),
        notes: Vec::new(),
    };
    if !anything_to_find {
        return Ok(found);
    }
    found.search = quality(subject, &mut simulation, structure::lists(health)).await?;
    if probes.is_sampled() {
        found.notes.push(notes::OPTIMISM.to_owned());
    }
    if let (AccessMethod::Hnsw, Some(parameter)) = (subject.index.name.method, subject.parameter.get()) {
        found.notes.extend(notes::of_small_ef(parameter, subject.options.k, probes.is_sampled()));
    }
    let unfindable = match known {
        Some(report) => Measured::Known(report),
        None => unfindable(subject, index).await?,
    };
    match unfindable {
        Measured::Known(report) => {
            found.notes.extend(notes::of_sample(report.of_sampled, structure::live(health)));
            found.search.unfindable =
                Measured::Known(Unfindable { count: report.elements, of_sampled: report.of_sampled });
            simulation.resolve(&report.tids).await?;
            simulation.visibility.release().await?;
            let visible = |tid: &Tid| simulation.visibility.is_visible(*tid) == Some(true);
            found.unfindable_rows = report.tids.iter().copied().filter(visible).collect();
        }
        Measured::Unknown(reason) => found.search.unfindable = Measured::Unknown(reason),
    }
    Ok(found)
}

async fn probes(
    subject: &Subject<'_>,
    index: &Arc<DecodedIndex>,
    given: Option<Arc<ProbeSet>>,
) -> Result<Arc<ProbeSet>, MeasureError> {
    if let Some(given) = given {
        return Ok(Arc::new(given.rebased_on(index)?));
    }
    match &subject.options.query_table {
        Some(table) => Ok(Arc::new(queries::from_table(subject, table).await?)),
        None => Ok(Arc::new(ProbeSet::from_index_sample(index, subject.options.probe_count, subject.options.seed)?)),
    }
}

/// Recall at the parameter in force, and the curve.
async fn quality(
    subject: &Subject<'_>,
    simulation: &mut Simulation,
    lists: Option<u32>,
) -> Result<SearchQuality, MeasureError> {
    let options = subject.options;
    let in_force = subject.parameter.get();
    let method = subject.index.name.method;
    let mut search =
        unknown::search(options, subject.parameter.clone(), subject.parameter.reason().unwrap_or("not measured"));
    search.probe_count = simulation.probes.len() as u64;
    let values: Vec<u32> =
        if options.curve { grid::values(method, in_force, lists) } else { in_force.into_iter().collect() };
    subject.progress.phase("searching", Some(values.len() as u64));
    let mut curve = Vec::new();
    let mut enough = false;
    let mut done = 0;
    for chunk in grid::chunks(method, &values) {
        done += chunk.len() as u64;
        let wanted: Vec<u32> = chunk.iter().copied().filter(|value| !enough || Some(*value) == in_force).collect();
        if wanted.is_empty() {
            continue;
        }
        let evaluations = simulation.at_each(&wanted).await?;
        subject.progress.done(done);
        for (value, evaluation) in wanted.into_iter().zip(evaluations) {
            // One of the same chunk may have ended the curve.
            if enough && Some(value) != in_force {
                continue;
            }
            let point = CurvePoint {
                value,
                recall: evaluation.mean,
                blind_share: evaluation.blind_share,
                cost: evaluation.cost_mean,
            };
            enough = enough || grid::is_enough(method, &point);
            curve.push(point);
            if Some(value) == in_force {
                take(&mut search, &evaluation);
            }
        }
    }
    if !curve.is_empty() {
        search.curve = Measured::Known(curve);
    }
    Ok(search)
}

fn take(search: &mut SearchQuality, evaluation: &Evaluation) {
    search.recall = Measured::Known(evaluation.mean);
    search.recall_p5 = Measured::Known(evaluation.p5);
    search.share_below_half = Measured::Known(evaluation.share_below_half);
    search.blind_share = Measured::Known(evaluation.blind_share);
    search.rows_returned_mean = Measured::Known(evaluation.rows_returned_mean);
}

async fn unfindable(
    subject: &Subject<'_>,
    index: &Arc<DecodedIndex>,
) -> Result<Measured<UnfindableReport>, MeasureError> {
    let parameter = match &subject.parameter {
        Measured::Known(parameter) => *parameter,
        Measured::Unknown(reason) => return Ok(Measured::unknown(reason.clone())),
    };
    let (index, sample, seed) = (index.clone(), subject.options.unfindable_sample, subject.options.seed);
    subject.progress.phase("searching for every element's own vector", None);
    let report =
        compute_with_progress(subject.progress, move |progress| index.unfindable(parameter, sample, seed, progress))
            .await??;
    Ok(Measured::Known(report))
}
