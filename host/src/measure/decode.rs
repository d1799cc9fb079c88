use super::blocking::compute;
use super::{MeasureError, MeasureOptions, Opened, Subject};
use crate::model::{IndexDefinition, Measured, Progress};
use crate::pgvector::{DecodedIndex, IndexReader, PageError, ReaderOptions};
use crate::postgres::Connector;
use crate::postgres::pages::{PageStream, PagesError, StreamReport};

/// Passes over an index that is rebuilt under the reader, before giving up.
const ATTEMPTS: u32 = 2;

/// The decoded index itself, and what reading it took: what a measurement begins with.
///
/// # Errors
/// As `measure`; `NotAnswered` where the index must not be read, `Pages(NoAccess)` without page access.
pub async fn read_index(
    connector: &Connector,
    index: &IndexDefinition,
    options: &MeasureOptions,
    progress: &dyn Progress,
) -> Result<(DecodedIndex, StreamReport), MeasureError> {
    let parameter = Measured::unknown("not asked for");
    match Subject::open(connector, index, options, Some(parameter), progress).await? {
        Opened::Subject(subject) => decode(&subject).await.map_err(|e| e.or_dropped(&index.name.qualified())),
        Opened::Unreadable { reason, .. } => Err(MeasureError::NotAnswered(reason)),
    }
}

/// Reads all pages and decodes them as they arrive; reads the suspicious ones once more.
pub(super) async fn decode(subject: &Subject<'_>) -> Result<(DecodedIndex, StreamReport), MeasureError> {
    let mut attempt = 1;
    loop {
        match decode_once(subject).await {
            Err(MeasureError::Pages(PagesError::Rebuilt)) if attempt < ATTEMPTS => attempt += 1,
            other => return other,
        }
    }
}

async fn decode_once(subject: &Subject<'_>) -> Result<(DecodedIndex, StreamReport), MeasureError> {
    let stream = PageStream::open(&subject.session, &subject.facts, &subject.index.name, subject.options.pace).await?;
    let reader = IndexReader::new(
        subject.index.name.method,
        ReaderOptions {
            vector_type: subject.vector_type,
            metric: subject.metric,
            vector_memory_limit_bytes: subject.options.vector_memory_limit_bytes,
            pages_expected: stream.blocks(),
        },
    );
    // A page that fails here is among the suspicious ones; what matters is whether it fails again.
    let on_page = |reader: &mut IndexReader, block, page: &[u8]| drop(reader.push_page(block, page));
    let (reader, report) = stream.read(reader, on_page, subject.progress).await?;
    let mut faults: Vec<PageError> = Vec::new();
    let (mut reader, suspicious) = compute(move || {
        let suspicious = reader.suspicious_blocks();
        (reader, suspicious)
    })
    .await?;
    if !suspicious.is_empty() {
        subject.progress.phase("reading suspicious pages again", Some(suspicious.len() as u64));
        let pages = stream.read_again(&suspicious).await?;
        (reader, faults) = compute(move || {
            let faults = pages.iter().filter_map(|(block, page)| reader.push_page(*block, page).err()).collect();
            (reader, faults)
        })
        .await?;
    }
    subject.progress.phase("building the graph", None);
    match compute(move || reader.finish()).await? {
        Ok(index) => Ok((index, report)),
        // What is wrong with the page says more than that it is missing.
        Err(error) => Err(faults.into_iter().find(|fault| fault.block == error.block).unwrap_or(error).into()),
    }
}
