use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use pgheal::components::{Policies, PoliciesOptions};
use pgheal::config::Config;
use pgheal::daemon::api::{Engine, TargetState, TargetView};
use pgheal::daemon::{Daemon, DaemonOptions};
use pgheal_test_server::scenarios::{HnswOptions, create_hnsw, create_table};
use pgheal_test_server::{Server, ServerOptions, execute, spread};

use super::world::{World, median, table};

/// Targets that nothing happens to, each with an index of this many rows: so few that with the least interval a cycle
/// seldom waits for another one's processor.
const WELL: usize = 7;
const ROWS: usize = 500;
const INTERVAL_MS: u64 = 1_000;
/// All well, then three in trouble, and again: what rounds differ by is the noise of the machine, and short ones share it.
const ROUNDS: usize = 8;
const PHASE: Duration = Duration::from_secs(15);
const RESTART_EVERY: Duration = Duration::from_secs(5);
const GOAL: f64 = 1.10;
const LOOK_EVERY: Duration = Duration::from_millis(10);
const DEADLINE: Duration = Duration::from_secs(120);
const TROUBLED: [&str; 3] = ["frozen", "restarts", "refused"];
const ROLE: &str = "bench_refused";

/// Of one target in one phase, in milliseconds.
#[derive(Clone, Default)]
struct Cycles {
    durations: Vec<f64>,
    /// From the start of a cycle to that of the next.
    start_to_start: Vec<f64>,
}

/// The medians of the same thing without and with trouble.
struct Compared {
    well: f64,
    troubled: f64,
}

impl Compared {
    fn of(well: &[&Cycles], troubled: &[&Cycles], values: fn(&Cycles) -> &Vec<f64>) -> Compared {
        let of_all = |cycles: &[&Cycles]| {
            let mut all: Vec<f64> = cycles.iter().flat_map(|cycles| values(cycles)).copied().collect();
            median(&mut all)
        };
        Compared { well: of_all(well), troubled: of_all(troubled) }
    }

    fn ratio(&self) -> f64 {
        self.troubled / self.well
    }

    fn cells(&self) -> [String; 3] {
        let ms = |value: f64| format!("{value:.1} ms");
        [ms(self.well), ms(self.troubled), format!("{:.3}", self.ratio())]
    }
}

type OwnServer = Arc<Mutex<Server>>;

/// The daemon with its ten targets.
struct Ten {
    daemon: Arc<Daemon>,
    config: PathBuf,
    frozen: OwnServer,
    restarts: OwnServer,
}

pub async fn run(world: &World) -> Result<()> {
    let ten = Ten::start(world).await?;
    let (mut well, mut troubled) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}: all well, for {PHASE:?}");
        ten.until_all_are_led().await?;
        well.push(ten.watch(PHASE).await?);
        eprintln!("round {round} of {ROUNDS}: three in trouble, for {PHASE:?}");
        troubled.push(ten.in_trouble(world).await?);
    }
    ten.daemon.stop(std::future::pending()).await;
    std::fs::remove_file(&ten.config)?;
    print(&well, &troubled)
}

fn print(well: &[Vec<Cycles>], troubled: &[Vec<Cycles>]) -> Result<()> {
    let header = [
        "what",
        "cycles",
        "a cycle, well",
        "in trouble",
        "ratio",
        "start to start, well",
        "in trouble",
        "ratio",
        "goal",
    ];
    let mut found = table(&header);
    let mut row = |what: String, well: &[&Cycles], troubled: &[&Cycles], goal: String| {
        let compared = |values: fn(&Cycles) -> &Vec<f64>| Compared::of(well, troubled, values).cells();
        let count = |cycles: &[&Cycles]| cycles.iter().map(|cycles| cycles.durations.len()).sum::<usize>();
        let mut cells = vec![what, format!("{} / {}", count(well), count(troubled))];
        cells.extend(compared(|cycles| &cycles.durations));
        cells.extend(compared(|cycles| &cycles.start_to_start));
        cells.push(goal);
        found.add_row(cells);
    };
    for target in 0..WELL {
        let (well, troubled) = (of_target(well, target), of_target(troubled, target));
        row(name(target), &well, &troubled, String::new());
    }
    row("all seven".to_owned(), &of_all(well), &of_all(troubled), format!("<= {GOAL:.2}"));
    for (round, (well, troubled)) in well.chunks(1).zip(troubled.chunks(1)).enumerate() {
        row(format!("all seven, round {}", round + 1), &of_all(well), &of_all(troubled), String::new());
    }
    println!(
        "medians of the cycles of {WELL} targets ({ROWS} rows each, every {INTERVAL_MS} ms) beside three others: all well, and one \
         stopped, one restarting every {} s, one with a wrong password\n{found}",
        RESTART_EVERY.as_secs()
    );
    let of_rounds = |values: fn(&Cycles) -> &Vec<f64>| {
        let rounds = well.chunks(1).zip(troubled.chunks(1));
        let ratio = |(well, troubled)| Compared::of(&of_all(well), &of_all(troubled), values).ratio();
        median(&mut rounds.map(ratio).collect::<Vec<_>>())
    };
    println!(
        "medians of the rounds' ratios: {:.3} of a cycle, {:.3} from start to start (goal <= {GOAL:.2}); rounds that differ much \
         tell of a busy machine",
        of_rounds(|cycles| &cycles.durations),
        of_rounds(|cycles| &cycles.start_to_start)
    );
    Ok(())
}

fn of_all(phases: &[Vec<Cycles>]) -> Vec<&Cycles> {
    phases.iter().flatten().collect()
}

fn of_target(phases: &[Vec<Cycles>], target: usize) -> Vec<&Cycles> {
    phases.iter().map(|phase| &phase[target]).collect()
}

fn name(target: usize) -> String {
    format!("well_{}", target + 1)
}

fn lock(server: &OwnServer) -> std::sync::MutexGuard<'_, Server> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ten {
    /// The three have no index: what they cost while they are well would flatter the ratio, since it falls away later.
    async fn start(world: &World) -> Result<Ten> {
        let vectors = spread(&world.embeddings.vectors, ROWS, 3);
        let mut toml = format!("[healing]\ncheck_interval_ms = {INTERVAL_MS}\nauto_heal_enabled = false\n");
        let mut add = |name: &str, url: &str| {
            toml.push_str(&format!("[[target]]\nname = \"{name}\"\nurl = \"{url}\"\n"));
        };
        for target in 0..WELL {
            let client = world.database(&name(target)).await?;
            create_table(&client, "documents", &vectors).await?;
            create_hnsw(&client, "documents_idx", "documents", HnswOptions { m: 16, ef_construction: 64 }).await?;
            add(&name(target), &world.server.url(&name(target)));
        }
        let frozen = own_server(world, "frozen").await?;
        add("frozen", &lock(&frozen).url("frozen"));
        let restarts = own_server(world, "restarts").await?;
        add("restarts", &lock(&restarts).url("restarts"));
        let client = world.database("refused").await?;
        execute(
            &client,
            &format!(
                "CREATE ROLE password_only; CREATE ROLE {ROLE} SUPERUSER LOGIN PASSWORD 'right' IN ROLE password_only"
            ),
        )
        .await?;
        add("refused", &world.server.url_as(ROLE, Some("right"), "refused"));

        let config = std::env::temp_dir().join(format!("pgheal-bench-{}.toml", std::process::id()));
        std::fs::write(&config, toml)?;
        let (policies, failures) = Policies::load(PoliciesOptions::new(world.policies.clone())).await?;
        for failure in failures {
            eprintln!("{failure}");
        }
        let options = DaemonOptions { config_path: config.clone(), ..DaemonOptions::default() };
        let daemon = Daemon::start(Config::load(&config)?, options, Arc::new(policies)).map_err(anyhow::Error::msg)?;
        Ok(Ten { daemon, config, frozen, restarts })
    }

    /// A phase with trouble, from its beginning to its end.
    async fn in_trouble(&self, world: &World) -> Result<Vec<Cycles>> {
        let client = world.server.connect("refused").await?;
        let password = async |password: &str| {
            let others = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'");
            execute(&client, &format!("ALTER ROLE {ROLE} PASSWORD '{password}'; {others}")).await
        };
        password("another").await?;
        let frozen = lock(&self.frozen).freeze()?;
        let ends = Arc::new(AtomicBool::new(false));
        let (server, told) = (Arc::clone(&self.restarts), Arc::clone(&ends));
        let restarting = tokio::task::spawn_blocking(move || restart_again_and_again(&server, &told));
        for name in ["frozen", "refused"] {
            self.until(name, "its trouble is told", |view| matches!(view.state, TargetState::Failed { .. })).await?;
        }
        let cycles = self.watch(PHASE).await?;
        ends.store(true, Ordering::Relaxed);
        let restarts = restarting.await??;
        let states: Vec<String> = TROUBLED.iter().map(|name| self.state(name)).collect::<Result<_>>()?;
        eprintln!("  {restarts} restarts; at the end: {}", states.join("; "));
        drop(frozen);
        password("right").await?;
        // Without waiting for the next try.
        self.daemon.reload()?;
        Ok(cycles)
    }

    fn view(&self, name: &str) -> Result<Arc<TargetView>> {
        let targets = self.daemon.targets();
        targets.into_iter().find(|view| view.name == name).with_context(|| format!("no target {name}"))
    }

    fn state(&self, name: &str) -> Result<String> {
        Ok(match &self.view(name)?.state {
            TargetState::Failed { reason } => format!("{name}: {reason}"),
            state => format!("{name}: {}", state.name()),
        })
    }

    async fn until(&self, name: &str, what: &str, holds: impl Fn(&TargetView) -> bool) -> Result<()> {
        let began = Instant::now();
        while !holds(&*self.view(name)?) {
            if began.elapsed() > DEADLINE {
                bail!("in vain: {what}; {}", self.state(name)?);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// And each has had a cycle since.
    async fn until_all_are_led(&self) -> Result<()> {
        let began = SystemTime::now();
        for name in (0..WELL).map(name).chain(TROUBLED.map(str::to_owned)) {
            let is_new = |view: &TargetView| view.last_cycle.as_ref().is_some_and(|cycle| cycle.ended_at > began);
            self.until(&name, "it is led", |view| view.state == TargetState::Leading && is_new(view)).await?;
        }
        Ok(())
    }

    /// Every cycle of the seven that begins and ends within the time, as the daemon tells it.
    async fn watch(&self, time: Duration) -> Result<Vec<Cycles>> {
        let (began, begins) = (Instant::now(), SystemTime::now());
        let mut found = vec![Cycles::default(); WELL];
        let mut last_starts: Vec<Option<SystemTime>> = vec![None; WELL];
        let mut last_ends = last_starts.clone();
        while began.elapsed() < time {
            for target in 0..WELL {
                let view = self.view(&name(target))?;
                let Some(cycle) = &view.last_cycle else { bail!("{} has no cycle", view.name) };
                if view.state != TargetState::Leading || !cycle.failed_checks.is_empty() {
                    bail!("{} is {:?}, {:?}", view.name, view.state, cycle.failed_checks);
                }
                let start = cycle.ended_at - cycle.duration;
                if start < begins || last_ends[target].replace(cycle.ended_at) == Some(cycle.ended_at) {
                    continue;
                }
                found[target].durations.push(ms(cycle.duration));
                if let Some(last) = last_starts[target].replace(start) {
                    found[target].start_to_start.push(ms(start.duration_since(last)?));
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(found)
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

async fn own_server(world: &World, database: &str) -> Result<OwnServer> {
    let settings = vec![("autovacuum".to_owned(), "off".to_owned())];
    let server = Server::start_with(world.server.install(), &ServerOptions { settings })?;
    server.create_database(database, &["vector", "pageinspect"]).await?;
    Ok(Arc::new(Mutex::new(server)))
}

/// As a server does whose supervisor starts it again. Gives how often.
fn restart_again_and_again(server: &OwnServer, ends: &AtomicBool) -> Result<usize> {
    let mut restarts = 0;
    while !ends.load(Ordering::Relaxed) {
        let began = Instant::now();
        lock(server).crash_and_restart()?;
        restarts += 1;
        while began.elapsed() < RESTART_EVERY && !ends.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(restarts)
}
