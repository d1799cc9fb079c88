use std::collections::BTreeMap;
use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::{Socket, Stream};

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
/// As in PostgreSQL.
const LARGEST_STARTUP_BYTES: usize = 10_000;
/// A client may ask for TLS and for GSSAPI, each once, before it starts.
const NEGOTIATIONS: usize = 2;
/// The first byte of a TLS handshake, from a client that does not ask first.
const TLS_HANDSHAKE: u8 = 0x16;
const ALPN: &[u8] = b"postgresql";

/// How a connection begins.
pub enum Opening {
    Session {
        stream: Stream,
        startup: Startup,
        /// Encrypted.
        secure: bool,
    },
    /// Somebody wants a statement of another session to end.
    Cancel { pid: i32, key: Bytes },
    /// The client went away; a port scanner, or a health check.
    Gone,
}

/// The start-up packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Startup {
    pub major: u16,
    pub minor: u16,
    pub parameters: BTreeMap<String, String>,
}

/// Negotiates encryption and reads the start-up packet. What a client sends in clear before TLS begins is not taken for
/// something that it said in TLS: nothing is read ahead.
///
/// # Errors
/// The connection is lost, the handshake fails, or what comes is not PostgreSQL's protocol.
pub async fn open(socket: Socket, tls: Option<&TlsAcceptor>) -> io::Result<Opening> {
    match socket {
        Socket::Unix(mut stream) => {
            let packet = negotiate(&mut stream, false).await?;
            finish(packet, Box::new(stream), false)
        }
        Socket::Tcp(mut stream) => {
            if let Some(acceptor) = tls
                && starts_with_tls(&stream).await?
            {
                let mut encrypted = acceptor.accept(stream).await?;
                if encrypted.get_ref().1.alpn_protocol() != Some(ALPN) {
                    return Err(invalid("TLS without asking needs the ALPN protocol postgresql"));
                }
                let packet = first_packet(&mut encrypted).await?;
                return finish(packet, Box::new(encrypted), true);
            }
            match negotiate(&mut stream, tls.is_some()).await? {
                Packet::Tls => {
                    let acceptor = tls.ok_or_else(|| invalid("TLS is not configured"))?;
                    let mut encrypted = acceptor.accept(stream).await?;
                    let packet = first_packet(&mut encrypted).await?;
                    finish(packet, Box::new(encrypted), true)
                }
                packet => finish(packet, Box::new(stream), false),
            }
        }
    }
}

enum Packet {
    Startup(Startup),
    Cancel { pid: i32, key: Bytes },
    Tls,
    Gss,
    Gone,
}

fn finish(packet: Packet, stream: Stream, secure: bool) -> io::Result<Opening> {
    match packet {
        Packet::Startup(startup) => Ok(Opening::Session { stream, startup, secure }),
        Packet::Cancel { pid, key } => Ok(Opening::Cancel { pid, key }),
        Packet::Gone => Ok(Opening::Gone),
        Packet::Tls | Packet::Gss => Err(invalid("encryption was negotiated twice")),
    }
}

async fn starts_with_tls(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    Ok(stream.peek(&mut first).await? == 1 && first[0] == TLS_HANDSHAKE)
}

/// Answers requests for encryption until the client starts, or TLS shall begin.
async fn negotiate(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), offers_tls: bool) -> io::Result<Packet> {
    for _ in 0..=NEGOTIATIONS {
        match first_packet(stream).await? {
            Packet::Tls if offers_tls => {
                stream.write_all(b"S").await?;
                stream.flush().await?;
                return Ok(Packet::Tls);
            }
            Packet::Tls | Packet::Gss => {
                stream.write_all(b"N").await?;
                stream.flush().await?;
            }
            packet => return Ok(packet),
        }
    }
    Err(invalid("the client only negotiates"))
}

/// Reads exactly one packet without a type.
async fn first_packet(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Packet> {
    let mut head = [0; 8];
    let mut filled = 0;
    while filled < head.len() {
        match stream.read(&mut head[filled..]).await? {
            0 if filled == 0 => return Ok(Packet::Gone),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let code = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    if !(8..=LARGEST_STARTUP_BYTES).contains(&length) {
        return Err(invalid("invalid length of a start-up packet"));
    }
    let mut body = BytesMut::zeroed(length - 8);
    stream.read_exact(&mut body).await?;
    let body = body.freeze();
    match (code, body.len()) {
        (SSL_REQUEST, 0) => Ok(Packet::Tls),
        (GSS_REQUEST, 0) => Ok(Packet::Gss),
        (CANCEL_REQUEST, 8..=260) => {
            let pid = i32::from_be_bytes([body[0], body[1], body[2], body[3]]);
            Ok(Packet::Cancel { pid, key: body.slice(4..) })
        }
        (SSL_REQUEST | GSS_REQUEST | CANCEL_REQUEST, _) => Err(invalid("invalid length of a request")),
        _ => {
            let parameters = parameters(&body).ok_or_else(|| invalid("invalid start-up packet"))?;
            Ok(Packet::Startup(Startup { major: (code >> 16) as u16, minor: code as u16, parameters }))
        }
    }
}

/// Names and values, each ended by a zero, and a zero after the last.
fn parameters(body: &[u8]) -> Option<BTreeMap<String, String>> {
    let text = std::str::from_utf8(body).ok()?;
    let mut parts = text.strip_suffix('\0')?.split_terminator('\0');
    let mut parameters = BTreeMap::new();
    while let Some(name) = parts.next() {
        if name.is_empty() {
            return None;
        }
        parameters.insert(name.to_owned(), parts.next()?.to_owned());
    }
    Some(parameters)
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(code: u32, body: &[u8]) -> Vec<u8> {
        let length = (8 + body.len()) as u32;
        [&length.to_be_bytes()[..], &code.to_be_bytes(), body].concat()
    }

    async fn check(bytes: Vec<u8>, expected: &str) {
        let (mut client, mut server) = tokio::io::duplex(64 << 10);
        client.write_all(&bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let found = match negotiate(&mut server, false).await {
            Ok(Packet::Startup(startup)) => format!("{}.{} {:?}", startup.major, startup.minor, startup.parameters),
            Ok(Packet::Cancel { pid, key }) => format!("cancel {pid} {key:?}"),
            Ok(Packet::Gone) => "gone".to_owned(),
            Ok(Packet::Tls | Packet::Gss) => "encrypted".to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{found:?} lacks {expected:?}");
    }

    #[tokio::test]
    async fn a_client_starts_after_it_asked_for_encryption() {
        let start = packet(196_608, b"user\0ann\0database\0shop\0\0");
        check(start.clone(), r#"3.0 {"database": "shop", "user": "ann"}"#).await;
        check([packet(SSL_REQUEST, b""), packet(GSS_REQUEST, b""), start.clone()].concat(), "3.0").await;
        check([packet(SSL_REQUEST, b"").repeat(9), start].concat(), "only negotiates").await;
        check(packet(CANCEL_REQUEST, b"\0\0\0\x07abcd"), "cancel 7").await;
        check(Vec::new(), "gone").await;
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        check(b"GET / HTTP/1.1\r\n\r\n".to_vec(), "invalid length").await;
        check(packet(196_608, &[b'x'; 20_000]), "invalid length").await;
        check(packet(196_608, b"user\0ann"), "invalid start-up packet").await;
        check(packet(196_608, b"user\0\0"), "invalid start-up packet").await;
        check(packet(196_608, b"user\0ann\0database\0"), "invalid start-up packet").await;
        check(packet(196_608, b"\xff\0\xff\0\0"), "invalid start-up packet").await;
        check(packet(CANCEL_REQUEST, b"\0\0"), "invalid length of a request").await;
        check(vec![0, 0, 0, 8, 0], "unexpected end").await;
    }
}
