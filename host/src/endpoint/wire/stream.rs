use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A peer that is gone without a word is found out after this long without any traffic, and a few unanswered probes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// A connection as it was accepted.
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Bytes both ways: plain, or through TLS.
pub trait Transport: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Transport for T {}

/// The connection that messages go over.
pub type Stream = Box<dyn Transport>;

impl Socket {
    /// Answers go out at once, and a dead peer is noticed.
    pub fn prepare(&self) -> io::Result<()> {
        match self {
            Socket::Unix(_) => Ok(()),
            Socket::Tcp(stream) => {
                stream.set_nodelay(true)?;
                let keepalive = TcpKeepalive::new()
                    .with_time(KEEPALIVE_IDLE)
                    .with_interval(KEEPALIVE_INTERVAL)
                    .with_retries(KEEPALIVE_PROBES);
                SockRef::from(stream).set_tcp_keepalive(&keepalive)
            }
        }
    }
}
