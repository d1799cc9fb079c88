use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::document::{Span, document};
use super::settings::Settings;

/// Spans are sent together, at the latest after this.
const PAUSE: Duration = Duration::from_secs(5);
const BATCH_SPANS: usize = 512;
/// A collector that does not answer in this time is away.
const TIMEOUT: Duration = Duration::from_secs(3);
const LONGEST_STATUS_LINE: u64 = 1_024;

/// What the exporting thread is told.
pub enum Message {
    Span(Box<Span>),
    /// Send what there is, and end.
    Stop,
}

/// The exporting thread. What is queued goes out with this value, within seconds or never.
#[derive(Debug)]
pub struct Export {
    sender: SyncSender<Message>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Export {
    pub fn start(
        settings: Settings,
        sender: SyncSender<Message>,
        queue: Receiver<Message>,
        dropped: Arc<AtomicU64>,
    ) -> io::Result<Export> {
        let stopping = Arc::new(AtomicBool::new(false));
        let mut exporter = Exporter { settings, dropped, stopping: Arc::clone(&stopping), failing: false };
        let thread = thread::Builder::new().name("otel-export".to_owned()).spawn(move || exporter.run(&queue))?;
        Ok(Export { sender, stopping, thread: Some(thread) })
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        // A full queue has room after one batch at the latest: a collector that is away gets no further one.
        self.stopping.store(true, Relaxed);
        if self.sender.send(Message::Stop).is_ok()
            && let Some(thread) = self.thread.take()
        {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

struct Exporter {
    settings: Settings,
    dropped: Arc<AtomicU64>,
    stopping: Arc<AtomicBool>,
    failing: bool,
}

impl Exporter {
    fn run(&mut self, queue: &Receiver<Message>) {
        loop {
            let (batch, goes_on) = next_batch(queue);
            if !batch.is_empty() {
                self.send(&batch);
            }
            if !goes_on || (self.failing && self.stopping.load(Relaxed)) {
                return;
            }
        }
    }

    /// A batch that is not taken is lost: the database's healer must not keep what nobody fetches.
    fn send(&mut self, batch: &[Span]) {
        let body = document(&self.settings.resource, batch).to_string();
        match post(&self.settings, &body) {
            Ok(()) => {
                let dropped = self.dropped.swap(0, Relaxed);
                if self.failing || dropped > 0 {
                    tracing::warn!("spans are exported again; {dropped} were dropped meanwhile");
                }
                self.failing = false;
            }
            Err(error) => {
                self.dropped.fetch_add(batch.len() as u64, Relaxed);
                if !self.failing {
                    tracing::warn!(
                        "spans cannot be exported to {}:{}: {error}",
                        self.settings.host,
                        self.settings.port
                    );
                }
                self.failing = true;
            }
        }
    }
}

/// Waits for a full batch, or for its time; false: there is no next one.
fn next_batch(queue: &Receiver<Message>) -> (Vec<Span>, bool) {
    let mut batch = Vec::new();
    let deadline = Instant::now() + PAUSE;
    while batch.len() < BATCH_SPANS {
        match queue.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Message::Span(span)) => batch.push(*span),
            Err(RecvTimeoutError::Timeout) => break,
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return (batch, false),
        }
    }
    (batch, true)
}

fn post(settings: &Settings, body: &str) -> io::Result<()> {
    let mut stream = connect(settings)?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let Settings { host, port, path, .. } = settings;
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n",
        body.len()
    );
    for (name, value) in &settings.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    stream.write_all(body.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_STATUS_LINE)).read_line(&mut line)?;
    match line.split(' ').nth(1) {
        Some(status) if status.starts_with('2') => Ok(()),
        _ => Err(io::Error::other(format!("the collector answers {:?}", line.trim_end()))),
    }
}

fn connect(settings: &Settings) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the host has no address");
    for address in (settings.host.as_str(), settings.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
