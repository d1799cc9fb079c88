use super::blocking::compute;
use super::{MeasureError, Subject};
use crate::pgvector::{DecodedIndex, IndexReader, ReaderOptions};
use crate::postgres::pages::{PageStream, PagesError, StreamReport};

/// Passes over an index that is rebuilt under the reader, before giving up.
const ATTEMPTS: u32 = 2;

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
    let (mut reader, suspicious) = compute(move || {
        let suspicious = reader.suspicious_blocks();
        (reader, suspicious)
    })
    .await?;
    if !suspicious.is_empty() {
        subject.progress.phase("reading suspicious pages again", Some(suspicious.len() as u64));
        let pages = stream.read_again(&suspicious).await?;
        reader = compute(move || {
            for (block, page) in pages {
                drop(reader.push_page(block, &page));
            }
            reader
        })
        .await?;
    }
    subject.progress.phase("building the graph", None);
    Ok((compute(move || reader.finish()).await??, report))
}
