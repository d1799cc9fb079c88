use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Malformed, Message};

/// Type and length.
const HEADER_BYTES: usize = 5;
/// Space is made for what arrives, not for what is announced.
const STEP_BYTES: usize = 16 << 10;
/// A buffer that a large message left behind is given back.
const KEPT_BYTES: usize = 64 << 10;

/// Why there is no further message.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("a message of {length} bytes was refused; at most {limit} are allowed")]
    TooLarge { length: usize, limit: usize },
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Reads messages, and buffers no more than one that is within the limit, and what came with it.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: BytesMut,
}

impl Reader {
    /// The next message; None where the client hung up between messages. `limit` bounds the length that a message
    /// tells, its own four bytes included.
    ///
    /// # Errors
    /// The connection is lost, or what it brings is no message. Reading cannot go on after that.
    pub async fn next(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        limit: usize,
    ) -> Result<Option<Message>, ReadError> {
        if !self.fill(stream, HEADER_BYTES).await? {
            return Ok(None);
        }
        let kind = self.buffer[0];
        let length = u32::from_be_bytes([self.buffer[1], self.buffer[2], self.buffer[3], self.buffer[4]]) as usize;
        if length > limit {
            return Err(ReadError::TooLarge { length, limit });
        }
        let Some(body) = length.checked_sub(4) else { return Err(Malformed::Body(kind as char).into()) };
        if !self.fill(stream, HEADER_BYTES + body).await? {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.buffer.advance(HEADER_BYTES);
        let body = self.buffer.split_to(body).freeze();
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES {
            self.buffer = BytesMut::new();
        }
        Ok(Some(Message::read(kind, body)?))
    }

    /// Reads until the buffer holds `wanted` bytes; false where the stream ends before the first of them.
    async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin), wanted: usize) -> io::Result<bool> {
        while self.buffer.len() < wanted {
            self.buffer.reserve(STEP_BYTES);
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(false),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(bytes: &[u8], limit: usize, expected: &[&str]) {
        let mut reader = Reader::default();
        let mut stream = bytes;
        let mut found = Vec::new();
        loop {
            match reader.next(&mut stream, limit).await {
                Ok(Some(message)) => found.push(format!("{message:?}")),
                Ok(None) => break,
                Err(error) => {
                    found.push(error.to_string());
                    break;
                }
            }
        }
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, part) in found.iter().zip(expected) {
            assert!(found.contains(part), "{found:?} lacks {part:?}");
        }
    }

    #[tokio::test]
    async fn messages_follow_each_other() {
        check(b"", 100, &[]).await;
        check(b"S\0\0\0\x04Q\0\0\0\x06a\0", 100, &["Sync", "Query(\"a\")"]).await;
    }

    #[tokio::test]
    async fn nothing_large_or_broken_is_read() {
        check(b"Q\x40\0\0\0", 1 << 20, &["1073741824 bytes was refused; at most 1048576"]).await;
        check(b"Q\xff\xff\xff\xff", 1 << 20, &["4294967295 bytes was refused"]).await;
        check(b"S\0\0\0\x04Q\0\0\0\x06a\0", 5, &["Sync", "refused"]).await;
        check(b"Q\0\0\0\x03", 100, &["shorter than it says"]).await;
        check(b"Q\0\0\0\x06a", 100, &["unexpected end of file"]).await;
        check(b"Q\0", 100, &["unexpected end of file"]).await;
    }
}
