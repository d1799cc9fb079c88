use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::scans::{Others, ScanProbe, ScanQuality, ScanSession, exact_rows, run};
use super::{MeasureError, Measurement, Subject, notes, queries, unknown, unmeasured};
use crate::model::{IndexHealth, Measured, SearchQuality, Tid};
use crate::postgres::PgTid;

/// Queries whose exact neighbours are found by a sequential scan each.
const PROBES: usize = 50;
/// The sequential scans stop after this long; on a large table fewer probes have to do.
const EXACT_SCANS_LIMIT: Duration = Duration::from_secs(60);
/// Fewer probes than this say nothing of the mean.
const PROBES_AT_LEAST: usize = 5;

/// Measures without page access: recall from real scans of a few sampled rows; the rest is unknown.
pub(super) async fn measure(subject: &Subject<'_>, reason: &str) -> Result<Measurement, MeasureError> {
    let (search, notes) = search(subject, reason).await?;
    let mut health = unknown::health(&subject.index, subject.options, subject.parameter.clone(), reason);
    health.search = search;
    health.notes = notes;
    Ok(unmeasured(health))
}

/// Measures an index whose vectors exceed the memory limit: its structure is known, searches are real scans.
pub(super) async fn measure_large(
    subject: &Subject<'_>,
    with_search: impl Fn(SearchQuality, Measured<u64>) -> IndexHealth,
) -> Result<Measurement, MeasureError> {
    let reason = format!(
        "the vectors exceed the limit of {} MiB (vector_memory_limit_bytes): searches were not simulated",
        subject.options.vector_memory_limit_bytes >> 20
    );
    let (search, notes) = search(subject, &reason).await?;
    let mut health = with_search(search, Measured::unknown(&reason));
    health.notes = notes;
    health.notes.push(reason);
    Ok(unmeasured(health))
}

/// Recall by real scans; `reason` is why nothing better was possible.
async fn search(subject: &Subject<'_>, reason: &str) -> Result<(SearchQuality, Vec<String>), MeasureError> {
    let mut search = unknown::search(subject.options, subject.parameter.clone(), reason);
    let mut notes = Vec::new();
    match sampled(subject).await {
        Ok(Some((quality, probes))) => {
            search.probe_count = probes as u64;
            notes.push(format!(
                "recall comes from {probes} queries, answered by real index scans and by sequential scans ({reason})"
            ));
            if subject.options.query_table.is_none() {
                notes.push(notes::OPTIMISM.to_owned());
            }
            take(&mut search, quality);
        }
        Ok(None) => without_recall(&mut search, "the index holds too few visible rows to measure recall"),
        Err(error) => match error.refusal() {
            Some(why) => without_recall(&mut search, &why),
            None => return Err(error.or_dropped(&subject.index.name.qualified())),
        },
    }
    Ok((search, notes))
}

async fn sampled(subject: &Subject<'_>) -> Result<Option<(ScanQuality, usize)>, MeasureError> {
    let Some(value) = subject.parameter.get() else {
        return Err(MeasureError::NotAnswered(subject.parameter.reason().unwrap_or_default().to_owned()));
    };
    let k = subject.options.k as usize;
    // check() must change nothing: other indexes are not hidden, but found out by EXPLAIN.
    let scans = subject.scans(None, Others::Leave).await?;
    let queries = match &subject.options.query_table {
        Some(table) => from_table(subject, table).await?,
        None => sampled_rows(subject, &scans).await?,
    };
    let Some((example, _)) = queries.first() else { return Ok(None) };
    // Before the long part: does this index answer at all?
    scans.prepare(value, k, example).await?;
    let probes = exact_probes(subject, &scans, queries, k).await?;
    subject.progress.phase("index scans of the probe queries", None);
    let quality = run(&scans, &probes, value, k).await?;
    scans.close().await?;
    let enough = quality.recall.len() >= PROBES_AT_LEAST.min(probes.len());
    Ok((enough && !quality.recall.is_empty()).then_some((quality, probes.len())))
}

async fn exact_probes(
    subject: &Subject<'_>,
    scans: &ScanSession,
    queries: Vec<(String, HashSet<Tid>)>,
    k: usize,
) -> Result<Vec<ScanProbe>, MeasureError> {
    subject.progress.phase("sequential scans for exact neighbours", Some(queries.len() as u64));
    scans.without_indexes().await?;
    let started = Instant::now();
    let mut probes = Vec::with_capacity(queries.len());
    for (done, (literal, own)) in queries.into_iter().enumerate() {
        if started.elapsed() > EXACT_SCANS_LIMIT && probes.len() >= PROBES_AT_LEAST {
            break;
        }
        probes.push(exact_rows(scans, literal, own, k).await?);
        subject.progress.done(done as u64 + 1);
    }
    Ok(probes)
}

async fn from_table(subject: &Subject<'_>, table: &str) -> Result<Vec<(String, HashSet<Tid>)>, MeasureError> {
    let probes = queries::from_table(subject, table).await?;
    Ok((0..probes.len().min(PROBES)).map(|i| (probes.literal(i), HashSet::new())).collect())
}

async fn sampled_rows(subject: &Subject<'_>, scans: &ScanSession) -> Result<Vec<(String, HashSet<Tid>)>, MeasureError> {
    let row = scans
        .session()
        .query_one("SELECT reltuples::float8 FROM pg_catalog.pg_class WHERE oid = $1", &[&subject.index.name.table_oid])
        .await
        .map_err(MeasureError::Database)?;
    let estimate: f64 = row.try_get(0).map_err(MeasureError::Database)?;
    // Where the estimate is too high, the share sampled is too small: then every row is a candidate.
    for rows in [estimate, 0.0] {
        let sql = scans.statements().sample(PROBES, rows, subject.options.seed);
        let found = scans.session().query(&sql, &[]).await.map_err(MeasureError::Database)?;
        if found.len() >= PROBES_AT_LEAST || rows <= 0.0 {
            return found
                .iter()
                .map(|row| Ok((row.try_get(1)?, HashSet::from([row.try_get::<_, PgTid>(0)?.0]))))
                .collect::<Result<_, tokio_postgres::Error>>()
                .map_err(MeasureError::Database);
        }
    }
    Ok(Vec::new())
}

/// So few probes show the mean and its lower end; a share of one in 200 they cannot show.
fn take(search: &mut SearchQuality, quality: ScanQuality) {
    let mut recall = quality.recall;
    recall.sort_by(f64::total_cmp);
    let count = recall.len();
    search.recall = Measured::Known(recall.iter().sum::<f64>() / count as f64);
    search.recall_p5 = Measured::Known(recall[count / 20]);
    search.rows_returned_mean =
        Measured::Known(quality.rows_returned.iter().sum::<usize>() as f64 / quality.rows_returned.len() as f64);
    let too_few =
        format!("{count} queries are too few to see a small share: {}", search.unfindable.reason().unwrap_or(""));
    search.share_below_half = Measured::unknown(too_few.clone());
    search.blind_share = Measured::unknown(too_few);
}

fn without_recall(search: &mut SearchQuality, reason: &str) {
    search.recall = Measured::unknown(reason);
    search.recall_p5 = Measured::unknown(reason);
    search.share_below_half = Measured::unknown(reason);
    search.blind_share = Measured::unknown(reason);
    search.rows_returned_mean = Measured::unknown(reason);
}
