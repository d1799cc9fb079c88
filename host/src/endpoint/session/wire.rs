use std::io;
use std::time::Duration;

use bytes::BytesMut;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{ErrorResponse, NoticeResponse};
use pgwire::messages::startup::ParameterStatus;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::endpoint::sql::Refused;
use crate::endpoint::wire::{Message, ReadError, Reader, Stream};

/// A client that takes nothing for this long is given up.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// Answers go out in pieces of about this size.
const PIECE_BYTES: usize = 64 << 10;
/// A client that is sent away is listened to for this long, so that it gets to read why. What it says is not kept.
const LINGER: Duration = Duration::from_secs(3);
/// The longest message of an error.
const LONGEST_ERROR_BYTES: usize = 8 << 10;

/// Messages both ways.
pub struct Wire {
    stream: Stream,
    reader: Reader,
    out: BytesMut,
}

impl Wire {
    pub fn new(stream: Stream) -> Wire {
        Wire { stream, reader: Reader::default(), out: BytesMut::new() }
    }

    /// The next message.
    ///
    /// # Errors
    /// As `Reader::next`.
    pub async fn next(&mut self, limit: usize) -> Result<Option<Message>, ReadError> {
        self.reader.next(&mut self.stream, limit).await
    }

    /// Puts a message in the buffer.
    pub fn put(&mut self, message: PgWireBackendMessage) {
        let length = self.out.len();
        if let Err(error) = message.encode(&mut self.out) {
            // Larger than the protocol can tell. Nothing half is left behind.
            self.out.truncate(length);
            tracing::error!("a message to a client cannot be encoded: {error}");
        }
    }

    pub fn tell(&mut self, name: &str, value: &str) {
        self.put(PgWireBackendMessage::ParameterStatus(ParameterStatus::new(name.to_owned(), value.to_owned())));
    }

    pub fn warn(&mut self, code: &str, message: &str) {
        let fields = [(b'S', "WARNING"), (b'V', "WARNING"), (b'C', code), (b'M', message)];
        let fields = fields.map(|(kind, text)| (kind, text.to_owned())).to_vec();
        self.put(PgWireBackendMessage::NoticeResponse(NoticeResponse::new(fields)));
    }

    /// Puts a message in the buffer, and sends that on where it has grown.
    pub async fn feed(&mut self, message: PgWireBackendMessage) -> io::Result<()> {
        self.put(message);
        if self.out.len() < PIECE_BYTES { Ok(()) } else { self.flush().await }
    }

    /// Sends what is in the buffer.
    ///
    /// # Errors
    /// The connection is lost, or the client takes nothing.
    pub async fn flush(&mut self) -> io::Result<()> {
        let sending = async {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(WRITE_DEADLINE, sending).await {
            Ok(sent) => sent?,
            Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answers")),
        }
        self.out.clear();
        Ok(())
    }

    /// Sends the last words, and hangs up when the client had the time to read them: a connection that is closed with
    /// unread bytes is reset, and what was said last may get lost.
    pub async fn close(mut self) {
        let goodbye = async {
            self.flush().await?;
            self.stream.shutdown().await?;
            let mut unread = vec![0; 64 << 10];
            while self.stream.read(&mut unread).await? > 0 {}
            io::Result::Ok(())
        };
        // Whether the client is still there makes no difference any more.
        let _ = tokio::time::timeout(LINGER, goodbye).await;
    }
}

/// An error for the client; FATAL ones are the last thing it is told.
pub fn error_response(severity: &str, refused: &Refused) -> PgWireBackendMessage {
    let mut fields = vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', refused.code.to_owned()),
        (b'M', bounded(&refused.message)),
    ];
    if let Some(hint) = &refused.hint {
        fields.push((b'H', bounded(hint)));
    }
    PgWireBackendMessage::ErrorResponse(ErrorResponse::new(fields))
}

/// Without zero bytes, which end a field.
fn bounded(text: &str) -> String {
    let mut end = text.len().min(LONGEST_ERROR_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].replace('\0', "\u{fffd}")
}
