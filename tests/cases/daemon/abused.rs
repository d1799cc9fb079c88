//! Those who connect and say nothing, begin and do not go on, guess passwords, or send without an end: all at once, against
//! the program. It stays within bounds, tells, and goes on healing.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pgheal_test_server::{Client, single};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::task::JoinSet;
use tokio_postgres::{Config, NoTls};

use super::{DEADLINE, eventually};
use crate::cases::support::{ConfigFile, SICK_OPTIONS, World, fill_table, free_port, grouped_rows, start};

const PASSWORDS: [(&str, &str); 2] = [("ADMIN_PASSWORD", "of-the-admin"), ("READER_PASSWORD", "of-the-reader")];
const IDLE: usize = 1_000;
/// Of the idle ones, some are let in to say something, and the others are turned away.
const LET_IN: usize = 600;
const HALF_OPEN: usize = 20;
const GUESSES: usize = 8;
/// What the daemon's memory may grow by: a few KiB a connection, and nothing for a query that it does not read.
const GROWTH_KIB: u64 = 32 << 10;
/// A query of 1 GB.
const LENGTH: u32 = 1 << 30;
const ONE_OF_A_KIND_IN: Duration = Duration::from_secs(5);

/// The daemon, and what it logs.
struct Daemon {
    child: Child,
    pid: u32,
    port: u16,
    log: Arc<Mutex<String>>,
}

impl Daemon {
    fn start(config: &ConfigFile, port: u16) -> Result<Daemon> {
        let mut child = start(&["run", "--config", &config.0.display().to_string()], &PASSWORDS)?;
        let pid = child.id().context("it has ended")?;
        let log = Arc::<Mutex<String>>::default();
        let (stderr, kept) = (child.stderr.take().context("no log")?, Arc::clone(&log));
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut log = kept.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
            }
        });
        Ok(Daemon { child, pid, port, log })
    }

    fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn told(&self, what: &str) -> usize {
        self.log().lines().filter(|line| line.contains(what)).count()
    }

    async fn client(&self, user: &str, password: &str) -> Result<Client> {
        Client::connect(&format!("postgresql://{user}:{password}@127.0.0.1:{}/abused", self.port)).await
    }

    async fn connection(&self) -> Result<TcpStream> {
        Ok(TcpStream::connect(("127.0.0.1", self.port)).await?)
    }

    fn files(&self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.pid))?.count())
    }

    /// The most memory that it ever had.
    fn most_memory_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

/// A table with an index that needs a repair.
async fn sick_table(world: &World, name: &str) -> Result<()> {
    fill_table(world, name, &grouped_rows(2_000, 1)).await?;
    world
        .sql(&format!("CREATE INDEX {name}_idx ON {name} USING hnsw (embedding vector_cosine_ops) {SICK_OPTIONS}"))
        .await
}

/// By the daemon's own history.
async fn until_healed(admin: &Client, table: &str) -> Result<()> {
    let healed = format!("SELECT count(*) FROM ruvector_dag_repair_history('{table}', 1) WHERE outcome = 'healed'");
    eventually(&format!("{table} is healed"), async || {
        // Until the first cycle, no table is known.
        let count = single(admin, &healed).await.ok().flatten();
        Ok(count.filter(|count| count != "0").map(drop))
    })
    .await
}

fn startup() -> Vec<u8> {
    let parameters = b"user\0reader\0database\0abused\0\0";
    let length = 8 + parameters.len() as u32;
    [&length.to_be_bytes()[..], &196_608u32.to_be_bytes(), parameters].concat()
}

/// Begins to prove who it is.
fn first_of_scram() -> Vec<u8> {
    let said = b"n,,n=,r=abcdefghijklmnopqrstuvwx";
    let mut body = b"SCRAM-SHA-256\0".to_vec();
    body.extend((said.len() as u32).to_be_bytes());
    body.extend(said);
    message(b'p', (body.len() + 4) as u32, &body)
}

fn message(kind: u8, length: u32, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// Sends that much, waits for the answer where there is one, and then says no more.
async fn half_open(daemon: &Daemon, sent: &[u8]) -> Result<TcpStream> {
    let mut stream = daemon.connection().await?;
    stream.write_all(sent).await?;
    if sent.len() > 4 {
        stream.read_exact(&mut [0; 1]).await?;
    }
    Ok(stream)
}

/// Connects, says nothing until it is sent away, and comes again.
async fn stays_idle(port: u16) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await {
            let mut said = Vec::new();
            // A reset sends it away, too.
            let _ = stream.read_to_end(&mut said).await;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// A client that is logged in, and the connection beneath.
async fn beneath(daemon: &Daemon) -> Result<(TcpStream, impl Sized)> {
    let socket = std::net::TcpStream::connect(("127.0.0.1", daemon.port))?;
    socket.set_nonblocking(true)?;
    let beneath = TcpStream::from_std(socket.try_clone()?)?;
    let mut config = Config::new();
    config.user("reader").password("of-the-reader").dbname("abused");
    let client = config.connect_raw(TcpStream::from_std(socket)?, NoTls).await?;
    Ok((beneath, client))
}

/// Sends a query of 1 GB for as long as it is let; what it is told.
async fn sends_without_an_end(stream: TcpStream) -> Result<String> {
    let (mut from, mut to) = stream.into_split();
    let sends = async {
        to.write_all(&message(b'Q', LENGTH, b"SELECT '")).await?;
        let piece = vec![b'x'; 64 << 10];
        for _ in 0..LENGTH as usize / piece.len() {
            to.write_all(&piece).await?;
        }
        std::io::Result::Ok(())
    };
    let mut said = Vec::new();
    let (_, read) = tokio::join!(sends, from.read_to_end(&mut said));
    let said = String::from_utf8_lossy(&said).into_owned();
    // What was said before the reset has arrived.
    ensure!(read.is_ok() || !said.is_empty(), "{read:?}");
    Ok(said)
}

async fn metrics(port: u16) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// A shell often gives 1,024 files, and there are more connections. The daemon takes the limit over.
fn allow_many_files() -> Result<()> {
    const NEEDED: libc::rlim_t = 4_096;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a structure of our own.
    ensure!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0, "the limit of files is not told");
    if limit.rlim_cur < NEEDED {
        ensure!(limit.rlim_max >= NEEDED, "only {} files may be open here: ulimit -Hn", limit.rlim_max);
        limit.rlim_cur = NEEDED;
        // SAFETY: as above.
        ensure!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } == 0, "the limit of files stays");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_heals_while_it_is_abused() -> Result<()> {
    allow_many_files()?;
    let world = World::new("abused").await?;
    sick_table(&world, "docs").await?;
    let (port, metrics_port) = (free_port()?, free_port()?);
    let toml = format!(
        "[target]\nurl = \"{}\"\n[healing]\ncheck_interval_ms = 1000\n\
         [policy.index_rebalance.settings]\nsurgical_max_share = \"0\"\n\
         [endpoint]\nlisten = \"127.0.0.1:{port}\"\nmax_connections = {LET_IN}\nlogin_timeout_ms = 2000\n\
         [endpoint.user.admin]\npassword_env = \"ADMIN_PASSWORD\"\nrole = \"admin\"\n\
         [endpoint.user.reader]\npassword_env = \"READER_PASSWORD\"\n\
         [metrics]\nlisten = \"127.0.0.1:{metrics_port}\"\n",
        world.url()
    );
    let config = ConfigFile::write("abused", &toml)?;
    let mut daemon = Daemon::start(&config, port)?;
    let admin = eventually("it listens", async || Ok(daemon.client("admin", "of-the-admin").await.ok())).await?;
    // What it takes to heal, it took once before it is abused.
    until_healed(&admin, "docs").await?;
    let (memory, files) = (daemon.most_memory_kib()?, daemon.files()?);
    let began = Instant::now();

    let (beneath, client) = beneath(&daemon).await?;
    let mut guesses = JoinSet::new();
    for number in 0..GUESSES {
        let url = format!("postgresql://reader:guess-{number}@127.0.0.1:{port}/abused");
        guesses.spawn(async move { Client::connect(&url).await.is_err() });
    }
    let refused = guesses.join_all().await;
    assert!(refused.iter().all(|refused| *refused), "a wrong password lets in");
    let mut held = Vec::new();
    for sent in [startup()[..4].to_vec(), startup(), [startup(), first_of_scram()].concat()] {
        for _ in 0..HALF_OPEN {
            held.push(half_open(&daemon, &sent).await?);
            // Another one ends with a reset.
            half_open(&daemon, &sent).await?.set_zero_linger()?;
        }
    }
    let mut idle = JoinSet::new();
    for _ in 0..IDLE {
        idle.spawn(stays_idle(port));
    }
    eventually("as many as may are connected", async || Ok((daemon.files()? >= LET_IN).then_some(()))).await?;
    eventually("the others are turned away", async || {
        Ok((daemon.told("too many connections are logging in") > 0).then_some(()))
    })
    .await?;

    sick_table(&world, "more").await?;
    let (said, healed) = tokio::join!(sends_without_an_end(beneath), until_healed(&admin, "more"));
    healed?;
    let said = said?;
    assert!(said.contains("54000") && said.contains("1073741824 bytes was refused"), "{said:?}");
    drop(client);
    let successes = "pgheal_repairs_successful_total{target=\"abused\"} 2\n";
    eventually("the metrics tell", async || Ok(metrics(metrics_port).await?.contains(successes).then_some(()))).await?;
    assert_eq!(single(&admin, "SELECT state FROM pgheal.targets").await?.as_deref(), Some("leading"));
    eventually("they are still there", async || Ok((daemon.files()? >= LET_IN).then_some(()))).await?;

    let kinds = [
        "too many connections are logging in",
        "a connection was lost before its log-in",
        "a connection did not log in within 2s",
        "password authentication failed for user \"reader\"",
        "a message of 1073741824 bytes was refused",
    ];
    for kind in kinds {
        eventually(kind, async || Ok((daemon.told(kind) > 0).then_some(()))).await?;
        let at_most = began.elapsed().as_secs() / ONE_OF_A_KIND_IN.as_secs() + 1;
        assert!(daemon.told(kind) as u64 <= at_most, "{kind}: {}", daemon.log());
    }
    idle.shutdown().await;
    drop(held);
    eventually("its files are closed", async || Ok((daemon.files()? <= files).then_some(()))).await?;
    let growth = daemon.most_memory_kib()?.saturating_sub(memory);
    assert!(growth < GROWTH_KIB, "it had {memory} KiB, and grew by {growth} KiB");
    let reader = tokio::time::timeout(DEADLINE, daemon.client("reader", "of-the-reader")).await??;
    // What was repaired is measured again at once, or in the next cycle.
    eventually("no issue is left", async || {
        let issues = single(&reader, "SELECT count(*) FROM pgheal.issues").await?;
        Ok((issues.as_deref() == Some("0")).then_some(()))
    })
    .await?;
    ensure!(daemon.child.try_wait()?.is_none() && daemon.told("panicked") == 0, "{}", daemon.log());
    daemon.child.kill().await?;
    Ok(())
}
