use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio_postgres::Client;

use super::PagesError;
use super::consume::Decoder;
use super::pace::Pace;
use crate::model::{IndexName, Progress, quote_identifier};
use crate::postgres::{PageAccess, ServerFacts};

/// Bytes of one COPY statement. Each is a transaction of its own, so that no snapshot is held for long.
const RANGE_BYTES: u64 = 32 << 20;
/// A plain REINDEX locks the index exclusively: do not queue up behind it.
const LOCK_TIMEOUT_MS: u64 = 10_000;
/// Blocks of one second read.
const REREAD_BLOCKS: usize = 1_024;

/// What a pass over the pages took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StreamReport {
    pub blocks: u32,
    pub bytes: u64,
    pub elapsed: Duration,
    /// The part of `elapsed` that was waited to keep the pace.
    pub rested: Duration,
    /// The index was large against shared_buffers, so that the pace applied.
    pub paced: bool,
}

/// The pages of one index, for reading them once from the first to the last, and some of them again.
pub struct PageStream<'a> {
    client: &'a Client,
    access: PageAccess,
    index_oid: u32,
    file: u32,
    blocks: u32,
    block_size: u32,
    shared_buffers_bytes: u64,
    pace: Pace,
}

impl<'a> PageStream<'a> {
    /// Looks up the size. The session is for this job alone: its lock timeout is changed.
    ///
    /// # Errors
    /// `NoAccess`, `Dropped`, `Locked`.
    pub async fn open(
        client: &'a Client,
        facts: &ServerFacts,
        index: &IndexName,
        pace: Pace,
    ) -> Result<PageStream<'a>, PagesError> {
        if let Some(reason) = facts.page_access.reason() {
            return Err(PagesError::NoAccess(reason.to_owned()));
        }
        let lock_timeout = format!("SET lock_timeout = {LOCK_TIMEOUT_MS}");
        client.batch_execute(&lock_timeout).await.map_err(PagesError::Database)?;
        let (bytes, file) = size_and_file(client, index.oid).await?;
        let blocks = u32::try_from(bytes / u64::from(facts.block_size)).unwrap_or(u32::MAX);
        Ok(PageStream {
            client,
            access: facts.page_access.clone(),
            index_oid: index.oid,
            file,
            blocks,
            block_size: facts.block_size,
            shared_buffers_bytes: facts.shared_buffers_bytes,
            pace,
        })
    }

    /// The size when the stream was opened; pages that are added later are not read.
    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Reads every page in order and calls `on_page` with it on a thread of its own, while the next ones arrive.
    ///
    /// # Errors
    /// As `open`, and `Rebuilt` where the index has another file than in the beginning.
    pub async fn read<C: Send + 'static>(
        &self,
        consumer: C,
        on_page: impl FnMut(&mut C, u32, &[u8]) + Send + 'static,
        progress: &dyn Progress,
    ) -> Result<(C, StreamReport), PagesError> {
        let mut decoder = Decoder::start(consumer, on_page);
        let report = self.ranges(progress, Some(&mut decoder)).await?;
        Ok((decoder.finish().await?, report))
    }

    /// Reads every page and drops it: what reading costs without decoding.
    pub async fn skim(&self, progress: &dyn Progress) -> Result<StreamReport, PagesError> {
        self.ranges(progress, None::<&mut Decoder<()>>).await
    }

    /// Reads these blocks once more, in the order given; pages could change while others were read.
    pub async fn read_again(&self, blocks: &[u32]) -> Result<Vec<(u32, Bytes)>, PagesError> {
        let mut pages = Vec::with_capacity(blocks.len());
        for chunk in blocks.chunks(REREAD_BLOCKS) {
            let numbers: Vec<i64> = chunk.iter().map(|b| i64::from(*b)).collect();
            let page = self.page_of("b.n::int");
            let sql =
                format!("SELECT {page} FROM unnest($1::bigint[]) WITH ORDINALITY AS b(n, place) ORDER BY b.place");
            let rows = self.client.query(&sql, &[&numbers]).await.map_err(database)?;
            for (block, row) in chunk.iter().zip(rows) {
                let page: &[u8] = row.try_get(0).map_err(PagesError::Database)?;
                pages.push((*block, Bytes::copy_from_slice(page)));
            }
        }
        Ok(pages)
    }

    /// False: the decoder is not listening any more. Not an async closure: the futures of those are not `Send` for
    /// every lifetime, and measurements run in spawned tasks.
    async fn copy_range<C: Send + 'static>(
        &self,
        sql: &str,
        decoder: Option<&mut Decoder<C>>,
    ) -> Result<bool, tokio_postgres::Error> {
        let mut copy = std::pin::pin!(self.client.copy_out(sql).await?);
        let Some(decoder) = decoder else {
            while copy.try_next().await?.is_some() {}
            return Ok(true);
        };
        let mut listening = true;
        while let Some(message) = copy.try_next().await? {
            listening = listening && decoder.push(message).await.is_ok();
        }
        Ok(listening && decoder.end_range().await.is_ok())
    }

    async fn ranges<C: Send + 'static>(
        &self,
        progress: &dyn Progress,
        mut decoder: Option<&mut Decoder<C>>,
    ) -> Result<StreamReport, PagesError> {
        let started = Instant::now();
        let total = u64::from(self.blocks) * u64::from(self.block_size);
        let paced = self.pace.slows_down(total, self.shared_buffers_bytes);
        let step = u32::try_from(RANGE_BYTES / u64::from(self.block_size)).unwrap_or(1).max(1);
        let mut rested = Duration::ZERO;
        let mut first = 0;
        progress.phase("reading pages", Some(u64::from(self.blocks)));
        while first < self.blocks {
            let began = Instant::now();
            let count = step.min(self.blocks - first);
            let sql = self.copy_statement(first, count);
            if !self.copy_range(&sql, decoder.as_deref_mut()).await.map_err(database)? {
                break;
            }
            first += count;
            progress.done(u64::from(first));
            if paced && first < self.blocks {
                let rest = self.pace.rest(u64::from(count) * u64::from(self.block_size), began.elapsed());
                tokio::time::sleep(rest).await;
                rested += rest;
            }
        }
        let (_, file) = size_and_file(self.client, self.index_oid).await?;
        if file != self.file {
            return Err(PagesError::Rebuilt);
        }
        Ok(StreamReport { blocks: self.blocks, bytes: total, elapsed: started.elapsed(), rested, paced })
    }

    fn copy_statement(&self, first: u32, count: u32) -> String {
        let last = u64::from(first) + u64::from(count) - 1;
        match &self.access {
            PageAccess::Reader => format!(
                "COPY (SELECT r.block, r.page FROM pgheal.read_index_pages({}::oid::regclass, {first}, {count}) AS r(block, page)) \
                 TO STDOUT (FORMAT binary)",
                self.index_oid
            ),
            _ => format!(
                "COPY (SELECT b.n, {} FROM pg_catalog.generate_series({first}, {last}) AS b(n)) TO STDOUT (FORMAT binary)",
                self.page_of("b.n")
            ),
        }
    }

    /// SQL for the page of the block that `block` names. The index is named by its OID at each statement: a rename
    /// or a swap meanwhile must not make another index's pages appear among these.
    fn page_of(&self, block: &str) -> String {
        let oid = self.index_oid;
        match &self.access {
            PageAccess::GetRawPage { schema } => {
                format!("{}.get_raw_page((SELECT {oid}::oid::regclass::text), {block})", quote_identifier(schema))
            }
            _ => format!(
                "(SELECT r.page FROM pgheal.read_index_pages({oid}::oid::regclass, {block}, 1) AS r(block, page))"
            ),
        }
    }
}

/// Reads every page of an index once and drops it.
pub async fn bare_stream(
    client: &Client,
    facts: &ServerFacts,
    index: &IndexName,
    pace: Pace,
    progress: &dyn Progress,
) -> Result<StreamReport, PagesError> {
    PageStream::open(client, facts, index, pace).await?.skim(progress).await
}

async fn size_and_file(client: &Client, oid: u32) -> Result<(u64, u32), PagesError> {
    let row = client
        .query_one("SELECT pg_relation_size($1::oid::regclass), pg_relation_filenode($1::oid::regclass)::oid", &[&oid])
        .await
        .map_err(database)?;
    let size: Option<i64> = row.try_get(0).map_err(PagesError::Database)?;
    let file: Option<u32> = row.try_get(1).map_err(PagesError::Database)?;
    match (size, file) {
        (Some(size), Some(file)) => Ok((size.unsigned_abs(), file)),
        _ => Err(PagesError::Dropped),
    }
}

fn database(error: tokio_postgres::Error) -> PagesError {
    PagesError::from_database(error, LOCK_TIMEOUT_MS)
}
