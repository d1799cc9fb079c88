use std::sync::Arc;

use super::blocking::compute_with_progress;
use super::value_match::ValueMatcher;
use super::{MeasureError, MeasureOptions, Opened, Subject, decode, structure};
use crate::model::{IndexDefinition, Measured, Progress, Tid};
use crate::pgvector::{DecodedIndex, UnfindableReport};
use crate::postgres::Connector;
use crate::postgres::liveness::RowVisibility;
use crate::postgres::pages::StreamReport;

/// A measurement that was begun with what a round of re-insertion needs: `measure_on` makes it whole, from the same
/// pages. Holds the decoded index.
#[derive(Clone)]
pub struct Begun {
    /// Heap TIDs (chain roots) of the visible rows that no search for their own vector finds.
    pub unfindable_rows: Vec<Tid>,
    pub(super) index: Arc<DecodedIndex>,
    pub(super) pages: StreamReport,
    pub(super) unfindable: UnfindableReport,
}

/// The unfindable rows alone: no exact neighbours, no recall.
///
/// # Errors
/// As `measure`; `NotAnswered` where the index cannot be searched, with the reason.
pub async fn unfindable_rows(
    connector: &Connector,
    index: &IndexDefinition,
    options: &MeasureOptions,
    progress: &dyn Progress,
) -> Result<Begun, MeasureError> {
    let (subject, parameter) = open(connector, index, options, progress).await?;
    let name = subject.index.name.qualified();
    let (decoded, pages) = searchable(&subject).await?;
    let (sample, seed) = (options.unfindable_sample, options.seed);
    let searched = decoded.clone();
    let unfindable =
        compute_with_progress(progress, move |progress| searched.unfindable(parameter, sample, seed, progress))
            .await??;
    let unfindable_rows = visible(&subject, &decoded, &unfindable.tids).await.map_err(|e| e.or_dropped(&name))?;
    Ok(Begun { unfindable_rows, index: decoded, pages, unfindable })
}

/// The visible rows that find themselves, but none of their neighbours.
///
/// # Errors
/// As `unfindable_rows`.
pub async fn misplaced_rows(
    connector: &Connector,
    index: &IndexDefinition,
    options: &MeasureOptions,
    progress: &dyn Progress,
) -> Result<Vec<Tid>, MeasureError> {
    let (subject, parameter) = open(connector, index, options, progress).await?;
    let (decoded, _) = searchable(&subject).await?;
    let (sample, seed) = (options.unfindable_sample, options.seed);
    let searched = decoded.clone();
    let tids = compute_with_progress(progress, move |progress| searched.misplaced(parameter, sample, seed, progress))
        .await??;
    visible(&subject, &decoded, &tids).await.map_err(|e| e.or_dropped(&subject.index.name.qualified()))
}

async fn open<'a>(
    connector: &'a Connector,
    index: &IndexDefinition,
    options: &'a MeasureOptions,
    progress: &'a dyn Progress,
) -> Result<(Box<Subject<'a>>, u32), MeasureError> {
    let parameter = options.parameter_override.map(Measured::Known);
    match Subject::open(connector, index, options, parameter, progress).await? {
        Opened::Subject(subject) => match &subject.parameter {
            Measured::Known(parameter) => {
                let parameter = *parameter;
                Ok((subject, parameter))
            }
            Measured::Unknown(reason) => Err(MeasureError::NotAnswered(reason.clone())),
        },
        Opened::Unreadable { reason, .. } => Err(MeasureError::NotAnswered(reason)),
    }
}

async fn searchable(subject: &Subject<'_>) -> Result<(Arc<DecodedIndex>, StreamReport), MeasureError> {
    let name = subject.index.name.qualified();
    let (decoded, pages) = decode::decode(subject).await.map_err(|e| e.or_dropped(&name))?;
    match structure::gaps(&decoded.health()) {
        Some(reason) => Err(MeasureError::NotAnswered(reason)),
        None => Ok((Arc::new(decoded), pages)),
    }
}

async fn visible(subject: &Subject<'_>, index: &Arc<DecodedIndex>, tids: &[Tid]) -> Result<Vec<Tid>, MeasureError> {
    let mut visibility = RowVisibility::open(subject.connector, &subject.index.name, &subject.facts).await?;
    visibility.resolve(tids).await?;
    ValueMatcher::new(subject, index.clone()).settle(&mut visibility).await?;
    let found = tids.iter().copied().filter(|tid| visibility.is_visible(*tid) == Some(true)).collect();
    visibility.release().await?;
    Ok(found)
}
