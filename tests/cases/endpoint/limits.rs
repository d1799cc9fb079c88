//! Those who send too much, too long, nothing at all, or nonsense.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::served::{Served, refused};
use super::{DEADLINE, speaks_sql, text};

/// Waits until the other side hangs up; what it said last.
async fn last_words(mut stream: TcpStream) -> Result<String> {
    let mut said = Vec::new();
    // A reset is a way to hang up, too.
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut said)).await.context("still open")?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

/// A message of that type and length; its content does not come.
fn head(kind: u8, length: u32) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(length.to_be_bytes());
    bytes
}

fn startup(user: &str) -> Vec<u8> {
    let parameters = format!("user\0{user}\0database\0shop\0\0");
    let length = 8 + parameters.len() as u32;
    [&length.to_be_bytes()[..], &196_608u32.to_be_bytes(), parameters.as_bytes()].concat()
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_read() -> Result<()> {
    let served = Served::start().await?;
    let client = served.connect("reader").await?;
    let huge = format!("SELECT '{}'", "x".repeat(32 << 20));
    let (code, message) = refused(client.simple_query(&huge).await);
    assert_eq!(code, "54000");
    assert!(message.contains("at most 1048576"), "{message}");
    // Within a message's limit, a statement has its own.
    let client = served.connect("reader").await?;
    let long = format!("SELECT '{}'", "x".repeat(100 << 10));
    assert_eq!(refused(client.simple_query(&long).await).0, "54000");
    assert_eq!(text(&client, "SELECT 1").await?, "1");

    // One who is not logged in has less, and a length is believed to nobody.
    for bytes in [
        [startup("reader"), head(b'p', 1 << 30)].concat(),
        [startup("reader"), head(b'p', 100_000)].concat(),
        [startup("reader"), head(b'Q', 9), b"xxxx\0".to_vec()].concat(),
        [startup("reader"), head(b'p', 2)].concat(),
        vec![0x40, 0, 0, 0, 0, 3, 0, 0],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 4096],
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", served.port)).await?;
        stream.write_all(&bytes).await?;
        let said = last_words(stream).await?;
        assert!(!said.contains("28P01"), "{said}");
    }
    speaks_sql(&served.connect("reader").await?).await
}

#[tokio::test]
async fn connections_are_bounded() -> Result<()> {
    let served = Served::with(|config| {
        config.max_connections = 8;
        config.login_timeout_ms = 1_000;
    })
    .await?;
    // 1,000 that say nothing: most are told to go at once, the rest after the log-in's time.
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        idle.push(TcpStream::connect(("127.0.0.1", served.port)).await?);
    }
    let said = last_words(idle.pop().context("none")?).await?;
    assert!(said.contains("too many clients"), "{said:?}");
    for stream in idle {
        last_words(stream).await?;
    }
    let mut readers = Vec::new();
    let refusal = loop {
        match served.connect("reader").await {
            Ok(client) => readers.push(client),
            Err(error) => break error,
        }
        anyhow::ensure!(readers.len() <= 8, "no bound");
    };
    assert_eq!(refused::<()>(Err(refusal)).0, "53300");
    assert_eq!(readers.len(), 6, "two places are kept for those who can do something about it");
    served.connect("admin").await?;
    served.connect("forwarder").await?;
    drop(readers.pop());
    let began = Instant::now();
    while served.connect("reader").await.is_err() {
        anyhow::ensure!(began.elapsed() < DEADLINE, "a place that was given back is not given out");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test]
async fn idle_sessions_end() -> Result<()> {
    let served = Served::with(|config| config.idle_timeout_ms = 1_000).await?;
    let client = served.connect("reader").await?;
    assert_eq!(text(&client, "SELECT 1").await?, "1");
    let began = Instant::now();
    while !client.is_closed() {
        anyhow::ensure!(began.elapsed() < DEADLINE, "still open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
