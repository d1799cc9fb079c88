use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::PagesError;
use super::copy_binary::CopyParser;

/// Messages that travel together, so that the channel costs little a page.
const BATCH_BYTES: usize = 1 << 20;
/// Batches under way: bounds the memory, and makes the network wait for a slow decoder.
const BATCHES_AHEAD: usize = 8;

/// What the network side sends to the decoding thread.
enum Piece {
    Batch(Vec<Bytes>),
    /// A COPY statement ended; the next begins with a header of its own.
    EndOfRange,
}

/// The decoding thread: takes COPY messages and calls `on_page` for each page, away from the async threads.
pub(super) struct Decoder<C> {
    sender: mpsc::Sender<Piece>,
    batch: Vec<Bytes>,
    batch_bytes: usize,
    thread: JoinHandle<Result<C, PagesError>>,
}

impl<C: Send + 'static> Decoder<C> {
    pub(super) fn start(mut consumer: C, mut on_page: impl FnMut(&mut C, u32, &[u8]) + Send + 'static) -> Self {
        let (sender, mut receiver) = mpsc::channel(BATCHES_AHEAD);
        let thread = tokio::task::spawn_blocking(move || {
            let mut parser = CopyParser::new(2);
            while let Some(piece) = receiver.blocking_recv() {
                match piece {
                    Piece::Batch(messages) => {
                        for message in messages {
                            parser.push(message, |tuple| {
                                let (block, page) = page_of(tuple)?;
                                on_page(&mut consumer, block, page);
                                Ok(())
                            })?;
                        }
                    }
                    Piece::EndOfRange => std::mem::replace(&mut parser, CopyParser::new(2)).finish()?,
                }
            }
            Ok(consumer)
        });
        Decoder { sender, batch: Vec::new(), batch_bytes: 0, thread }
    }

    pub(super) async fn push(&mut self, message: Bytes) -> Result<(), Stopped> {
        self.batch_bytes += message.len();
        self.batch.push(message);
        if self.batch_bytes >= BATCH_BYTES { self.flush().await } else { Ok(()) }
    }

    pub(super) async fn end_range(&mut self) -> Result<(), Stopped> {
        self.flush().await?;
        self.sender.send(Piece::EndOfRange).await.map_err(|_| Stopped)
    }

    async fn flush(&mut self) -> Result<(), Stopped> {
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        self.sender.send(Piece::Batch(batch)).await.map_err(|_| Stopped)
    }

    /// Waits for the thread; its error is the reason of a `Stopped`.
    pub(super) async fn finish(self) -> Result<C, PagesError> {
        drop(self.sender);
        self.thread.await.map_err(|panic| PagesError::Decoder(panic.to_string()))?
    }
}

/// The decoding thread ended early; `finish` says why.
pub(super) struct Stopped;

/// Both sources send the block as int4 or int8, whichever their function takes.
fn page_of(tuple: &[Option<Bytes>]) -> Result<(u32, &[u8]), PagesError> {
    let [Some(block), Some(page)] = tuple else {
        return Err(PagesError::Protocol("a page is NULL"));
    };
    let number = match block.len() {
        4 => block.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)),
        8 => block.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)),
        _ => return Err(PagesError::Protocol("a block number has an odd size")),
    };
    let number = u32::try_from(number).map_err(|_| PagesError::Protocol("a block number is out of range"))?;
    Ok((number, page))
}
