use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::BytesMut;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

use super::session::error_response;
use super::wire::Socket;
use super::{Shared, connection};

/// Where the system cannot accept (no file descriptors left), it is asked again after this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where connections come from.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

/// The socket's file; it goes with its value, if it is still ours.
pub(super) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Listener {
    /// # Errors
    /// The address is taken, or not ours.
    pub(super) async fn tcp(address: SocketAddr) -> anyhow::Result<Listener> {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("the endpoint cannot listen on {address}"))?;
        Ok(Listener::Tcp(listener))
    }

    /// Makes the socket. A file that nobody serves any more is replaced.
    ///
    /// # Errors
    /// The directory is not there, or another daemon serves the socket.
    pub(super) async fn unix(directory: &Path, port: u16) -> anyhow::Result<Listener> {
        let path = directory.join(format!(".s.PGSQL.{port}"));
        let failed = || format!("the endpoint cannot listen on {}", path.display());
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(failed),
            Ok(found) => {
                ensure!(found.file_type().is_socket(), "{} is in the way, and is no socket", path.display());
                if tokio::net::UnixStream::connect(&path).await.is_ok() {
                    bail!("{}: another process serves it", failed());
                }
                std::fs::remove_file(&path).with_context(failed)?;
            }
        }
        let listener = UnixListener::bind(&path).with_context(failed)?;
        let inode = std::fs::symlink_metadata(&path).with_context(failed)?.ino();
        let file = SocketFile { path, inode };
        // Everybody may connect; the password decides.
        std::fs::set_permissions(&file.path, PermissionsExt::from_mode(0o777))
            .with_context(|| format!("the permissions of {} cannot be set", file.path.display()))?;
        Ok(Listener::Unix { listener, _file: file })
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix { .. } => None,
        }
    }

    async fn accept(&self) -> io::Result<(Socket, String)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Socket::Tcp(stream), peer.to_string()))
            }
            Listener::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                let peer = stream.peer_cred().ok().and_then(|peer| peer.pid());
                Ok((Socket::Unix(stream), peer.map_or_else(|| "socket".to_owned(), |pid| format!("process {pid}"))))
            }
        }
    }

    /// Accepts connections until the endpoint stops; then waits for those that are open. Dropped, it ends them.
    pub(super) async fn run(self, shared: Arc<Shared>) {
        let mut connections = JoinSet::new();
        let mut stop = shared.stop.subscribe();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|stops| *stops) => break,
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!("a session of the endpoint panicked: {error}");
                    }
                    continue;
                }
                accepted = self.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => {
                    if let Some(pending) = shared.admission.admit(shared.access().max_connections) {
                        if let Err(error) = socket.prepare() {
                            tracing::debug!(peer, "a connection cannot be prepared: {error}");
                            continue;
                        }
                        connections.spawn(connection::serve(Arc::clone(&shared), socket, peer, pending));
                    } else {
                        if let Some(held_back) = shared.told.floods.pass() {
                            tracing::warn!(peer, held_back, "too many connections are logging in; this one is refused");
                        }
                        turn_away(&socket);
                    }
                }
                Err(error) => {
                    if let Some(held_back) = shared.told.failures.pass() {
                        tracing::error!(held_back, "connections cannot be accepted: {error}");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self);
        while connections.join_next().await.is_some() {}
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!("{} cannot be removed: {error}", self.path.display());
        }
    }
}

/// Says why, if that can be said at once.
fn turn_away(socket: &Socket) {
    let mut out = BytesMut::new();
    let message = error_response("FATAL", &connection::too_many_connections());
    if message.encode(&mut out).is_ok() {
        // A client that cannot take these few bytes does without.
        let _ = match socket {
            Socket::Tcp(stream) => stream.try_write(&out),
            Socket::Unix(stream) => stream.try_write(&out),
        };
    }
}
