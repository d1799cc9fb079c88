use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::account::Account;
use crate::client::{Client, execute};
use crate::frozen::Frozen;
use crate::install::Install;

const START_DEADLINE: Duration = Duration::from_secs(60);
const STOP_DEADLINE: Duration = Duration::from_secs(20);
const PREFIX: &str = "pgheal-server-";
/// A socket's path may have 107 bytes.
const SOCKET_DIRECTORY_BYTES: usize = 80;

/// How a server is started; the defaults do for the tests.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// Lines of postgresql.conf, over ours.
    pub settings: Vec<(String, String)>,
}

/// A PostgreSQL server with a fresh data directory of its own, on a free port of 127.0.0.1. It stops, and its
/// directory goes, when this is dropped; when this process is killed, the kernel stops it.
///
/// The superuser `postgres` needs no password; members of the role `password_only` do.
pub struct Server {
    install: Install,
    account: Account,
    root: PathBuf,
    port: u16,
    keeper: Option<Keeper>,
}

impl Server {
    pub fn start(install: &Install) -> Result<Server> {
        Server::start_with(install, &ServerOptions::default())
    }

    pub fn start_with(install: &Install, options: &ServerOptions) -> Result<Server> {
        let account = Account::choose()?;
        ensure!(
            account.can_reach(&install.program("postgres")),
            "the user who runs the server cannot reach {}: put it where every user can enter the directories",
            install.root().display()
        );
        let root = new_directory(account)?;
        let mut server = Server { install: install.clone(), account, root, port: 0, keeper: None };
        server.initialise(options)?;
        server.run()?;
        Ok(server)
    }

    /// A URL of the database for the superuser.
    pub fn url(&self, database: &str) -> String {
        self.url_as("postgres", None, database)
    }

    pub fn url_as(&self, user: &str, password: Option<&str>, database: &str) -> String {
        let password = password.map(|password| format!(":{password}")).unwrap_or_default();
        format!("postgresql://{user}{password}@127.0.0.1:{}/{database}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn install(&self) -> &Install {
        &self.install
    }

    /// Where the server's files are, for measuring what they take.
    pub fn data_directory(&self) -> PathBuf {
        self.root.join("data")
    }

    pub async fn connect(&self, database: &str) -> Result<Client> {
        Client::connect(&self.url(database)).await
    }

    /// A new, empty database, with pgvector where `extensions` names it, and so on.
    pub async fn create_database(&self, name: &str, extensions: &[&str]) -> Result<Client> {
        let maintenance = self.connect("postgres").await?;
        execute(&maintenance, &format!("CREATE DATABASE \"{name}\" TEMPLATE template0")).await?;
        let client = self.connect(name).await?;
        for extension in extensions {
            execute(&client, &format!("CREATE EXTENSION {extension}")).await?;
        }
        Ok(client)
    }

    /// Stops at once, as after a crash, and starts again on the same port: recovery included.
    pub fn crash_and_restart(&mut self) -> Result<()> {
        self.crash()?;
        self.restart()
    }

    /// Stops at once: nothing is written that was not.
    pub fn crash(&mut self) -> Result<()> {
        self.keeper.take().map_or(Ok(()), |keeper| keeper.stop(libc::SIGQUIT))
    }

    /// Starts again on the same port, after a crash.
    pub fn restart(&mut self) -> Result<()> {
        self.run()
    }

    /// Stops every process of the server until the value is dropped.
    pub fn freeze(&self) -> Result<Frozen> {
        Frozen::freeze(self.keeper.as_ref().context("the server does not run")?.pid)
    }

    fn initialise(&self, options: &ServerOptions) -> Result<()> {
        let data = self.data_directory();
        let mut command = self.command("initdb");
        command.arg("--pgdata").arg(&data);
        command.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]);
        let output = command.output().context("running initdb")?;
        ensure!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr).trim());
        let mut text = String::new();
        let sockets = if self.root.as_os_str().len() <= SOCKET_DIRECTORY_BYTES { path_text(&self.root)? } else { "" };
        let memory = shared_memory_type()?;
        let ours = [
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", sockets),
            ("dynamic_shared_memory_type", memory),
            ("fsync", "off"),
            ("shared_buffers", "256MB"),
            ("maintenance_work_mem", "256MB"),
            ("max_wal_size", "4GB"),
            ("jit", "off"),
            ("timezone", "UTC"),
        ];
        let theirs = options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in ours.into_iter().chain(theirs) {
            text.push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        }
        let configuration = data.join("postgresql.conf");
        let sample = fs::read_to_string(&configuration)?;
        fs::write(&configuration, sample + &text)?;
        fs::write(
            data.join("pg_hba.conf"),
            "local all all trust\n\
             host all +password_only 127.0.0.1/32 scram-sha-256\n\
             host all all 127.0.0.1/32 trust\n\
             host replication all 127.0.0.1/32 trust\n",
        )?;
        Ok(())
    }

    /// Another program may take the free port before the server does: then the next one is tried.
    fn run(&mut self) -> Result<()> {
        let mut last = None;
        for _ in 0..5 {
            if self.port == 0 {
                self.port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            }
            match self.launch() {
                Ok(keeper) => {
                    self.keeper = Some(keeper);
                    return Ok(());
                }
                Err(error) => last = Some(error),
            }
            self.port = 0;
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no free port")))
    }

    fn launch(&self) -> Result<Keeper> {
        let log = self.root.join("log");
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data_directory()).arg("-p").arg(self.port.to_string());
        let file = fs::File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let keeper = Keeper::spawn(command)?;
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            if keeper.has_ended() {
                bail!("the server did not start: {}", tail(&log));
            }
            if is_ready(self.port) {
                return Ok(keeper);
            }
            if Instant::now() > deadline {
                keeper.stop(libc::SIGQUIT)?;
                bail!("the server was not ready after {START_DEADLINE:?}: {}", tail(&log));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.install.program(program));
        // initdb and the server complain about a working directory that they cannot read.
        command.current_dir(&self.root).env_clear().env("LC_ALL", "C").env("PATH", "/usr/bin:/bin");
        if let Account::Other { uid, gid } = self.account {
            command.gid(gid).uid(uid);
        }
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stopped = self.keeper.take().map_or(Ok(()), |keeper| keeper.stop(libc::SIGINT));
        if let Err(error) = stopped.and_then(|()| Ok(fs::remove_dir_all(&self.root)?)) {
            eprintln!("the PostgreSQL server in {} was not cleaned up: {error:#}", self.root.display());
        }
    }
}

/// The thread that started the server and waits for it. The kernel's signal at the parent's death comes when
/// the *thread* that forked ends, so that thread must live as long as the server.
struct Keeper {
    pid: i32,
    ended: mpsc::Receiver<()>,
    thread: JoinHandle<()>,
}

impl Keeper {
    fn spawn(mut command: Command) -> Result<Keeper> {
        let (started, starts) = mpsc::channel();
        let (ends, ended) = mpsc::channel();
        // SAFETY: prctl is async-signal-safe. It runs after the change of user, which would clear the setting.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGQUIT) {
                -1 => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            });
        }
        let thread = std::thread::Builder::new().name("postgres".to_owned()).spawn(move || {
            let mut child: Child = match command.spawn() {
                Ok(child) => child,
                Err(error) => return started.send(Err(error)).unwrap_or(()),
            };
            started.send(Ok(child.id())).unwrap_or(());
            if let Ok(status) = child.wait()
                && let Some(signal) = status.signal()
                && signal != libc::SIGKILL
            {
                eprintln!("the PostgreSQL server ended by signal {signal}");
            }
            ends.send(()).unwrap_or(());
        })?;
        let pid = starts.recv().context("the thread that starts the server ended")?.context("starting postgres")?;
        Ok(Keeper { pid: i32::try_from(pid)?, ended, thread })
    }

    fn has_ended(&self) -> bool {
        !matches!(self.ended.try_recv(), Err(mpsc::TryRecvError::Empty))
    }

    /// Signals the server, waits, and kills it where it does not end in time.
    fn stop(self, signal: i32) -> Result<()> {
        for (signal, wait) in [(signal, STOP_DEADLINE), (libc::SIGKILL, STOP_DEADLINE)] {
            if self.thread.is_finished() {
                break;
            }
            // SAFETY: the child is ours and not yet waited for: the thread that waits has not ended.
            unsafe { libc::kill(self.pid, signal) };
            match self.ended.recv_timeout(wait) {
                Err(mpsc::RecvTimeoutError::Timeout) => continue,
                _ => break,
            }
        }
        self.thread.join().map_err(|_| anyhow::anyhow!("the thread that waits for the server panicked"))
    }
}

/// Ready is: it answers a startup packet with anything else than "the database system is starting up".
fn is_ready(port: u16) -> bool {
    let attempt = || -> std::io::Result<bool> {
        use std::io::Write;
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let parameters = b"user\0postgres\0database\0postgres\0\0";
        let length = (8 + parameters.len()) as u32;
        stream.write_all(&[&length.to_be_bytes()[..], &196_608u32.to_be_bytes(), parameters].concat())?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        Ok(kind[0] == b'R')
    };
    attempt().unwrap_or(false)
}

/// A directory for one server: below the temporary files, where every user can enter.
fn new_directory(account: Account) -> Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let parent = std::env::temp_dir();
    remove_leftovers(&parent);
    let root = parent.join(format!("{PREFIX}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir(&root).with_context(|| format!("creating {}", root.display()))?;
    account.own(&root)?;
    ensure!(account.can_reach(&root), "the server's user cannot reach {}: set TMPDIR", root.display());
    Ok(root)
}

/// What a killed run left behind: directories whose process is gone.
fn remove_leftovers(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|rest| rest.split('-').next());
        if let Some(owner) = owner
            && owner.parse::<u32>().is_ok()
            && !Path::new("/proc").join(owner).exists()
        {
            // Somebody else's is not ours to remove, and is no reason to fail.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Parallel builds need shared memory; containers often give /dev/shm 64 MB only.
fn shared_memory_type() -> Result<&'static str> {
    // SAFETY: statvfs is plain old data, and the path ends with a zero.
    let (code, stats) = unsafe {
        let mut stats: libc::statvfs = std::mem::zeroed();
        (libc::statvfs(c"/dev/shm".as_ptr(), &mut stats), stats)
    };
    let free = stats.f_bavail * stats.f_frsize;
    Ok(if code == 0 && free >= 1 << 30 { "posix" } else { "mmap" })
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(10).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

fn path_text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
