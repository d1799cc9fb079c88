use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::request::MAX_HEAD_BYTES;
use super::{Request, Response};

/// Connections at the same time; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 32;
/// From the acceptance of a connection to the end of the answer.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a client that sends more than it should is heard out, so that it gets to read its answer.
const LINGER: Duration = Duration::from_millis(500);
/// After a failed accept, which would fail again at once (no file descriptor is left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

type Handler = Arc<dyn Fn(&Request) -> Response + Send + Sync>;

/// A listener with its task, which ends with this value.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens, and answers what comes with `handler`, which has to be quick: it is not waited for elsewhere.
    ///
    /// # Errors
    /// Where the address cannot be listened on.
    pub async fn start(
        address: SocketAddr,
        handler: Arc<dyn Fn(&Request) -> Response + Send + Sync>,
    ) -> std::io::Result<Server> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Server { address, task: tokio::spawn(accept(listener, handler)) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, handler: Handler) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let handler = Arc::clone(&handler);
                tokio::spawn(async move {
                    if tokio::time::timeout(DEADLINE, answer(stream, &handler)).await.is_err() {
                        tracing::debug!("a client of the metrics took longer than {DEADLINE:?}");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!("no connection to the metrics can be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One request and its answer; a client that goes away needs none.
async fn answer(mut stream: TcpStream, handler: &Handler) {
    let (response, head_only) = match read_head(&mut stream).await {
        Ok(Some(head)) => match Request::parse(&head) {
            Ok(request) => (handler(&request), request.head_only),
            Err(response) => (response, false),
        },
        Ok(None) => (Response::text(431, "the head of the request is too large\n"), false),
        Err(_) => return,
    };
    if stream.write_all(&response.to_bytes(head_only)).await.is_ok() && stream.shutdown().await.is_ok() {
        // Closed with bytes unread, the kernel would reset the connection, and the answer could be lost.
        let mut rest = [0; 1024];
        let hear_out = async { while matches!(stream.read(&mut rest).await, Ok(1..)) {} };
        let _ = tokio::time::timeout(LINGER, hear_out).await;
    }
}

/// Reads up to the empty line; None: there is none within the limit.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut head = Vec::with_capacity(1024);
    loop {
        if let Some(at) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            head.truncate(at + 4);
            return Ok(Some(head));
        }
        if head.len() >= MAX_HEAD_BYTES {
            return Ok(None);
        }
        let room = MAX_HEAD_BYTES - head.len();
        if (&mut *stream).take(room as u64).read_buf(&mut head).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn server() -> Server {
        let handler = |request: &Request| Response::text(200, format!("you asked for {}\n", request.path));
        Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::new(handler)).await.unwrap()
    }

    async fn ask(server: &Server, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_request_is_answered_and_the_connection_closed() {
        let server = server().await;
        let answer = ask(&server, b"GET /here HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nyou asked for /here\n"),
            "{answer}"
        );
        let answer = ask(&server, b"HEAD /here HTTP/1.1\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn a_request_may_come_in_pieces() {
        let server = server().await;
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        for piece in [&b"GET /he"[..], b"re HTTP/1.1\r", b"\n\r", b"\n"] {
            stream.write_all(piece).await.unwrap();
            stream.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("you asked for /here"), "{answer}");
    }

    #[tokio::test]
    async fn too_much_is_refused_with_an_answer() {
        let server = server().await;
        let mut request = b"GET / HTTP/1.1\r\nX: ".to_vec();
        request.resize(20_000, b'x');
        let answer = ask(&server, &request).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        let answer = ask(&server, b"DELETE / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde").await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    }

    /// As many as are let in at once say nothing; the next one waits for their deadline, and no longer.
    #[tokio::test]
    async fn silent_connections_do_not_keep_others_out() {
        let server = server().await;
        let mut silent = Vec::new();
        for _ in 0..MAX_CONNECTIONS + 8 {
            silent.push(TcpStream::connect(server.address()).await.unwrap());
        }
        let answer = ask(&server, b"GET /after HTTP/1.1\r\n\r\n");
        let answer = tokio::time::timeout(3 * DEADLINE, answer).await.expect("still waiting");
        assert!(answer.contains("you asked for /after"), "{answer}");
    }

    #[tokio::test]
    async fn it_ends_with_its_value() {
        let server = server().await;
        let address = server.address();
        drop(server);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).await.is_ok() {
            assert!(tokio::time::Instant::now() < deadline, "it still listens");
            tokio::task::yield_now().await;
        }
    }
}
