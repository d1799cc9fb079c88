use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use comfy_table::Table;
use pgheal_test_server::scenarios::{HnswOptions, create_hnsw, create_table};
use pgheal_test_server::{Client, spread};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::world::{World, median, table};

const DATABASE: &str = "status";
const ROWS: usize = 2_000;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(1);
const CLIENTS: [usize; 2] = [1, 8];
const STATUS: &str = "SELECT ruvector_dag_healing_status()";
const PASSWORDS: [(&str, &str); 2] = [("PGHEAL_ENDPOINT_PASSWORD", "of the functions"), ("DBA_PASSWORD", "of-the-dba")];
const START_DEADLINE: Duration = Duration::from_secs(60);

/// One way to ask.
struct Way {
    what: &'static str,
    url: String,
    statement: &'static str,
}

/// Of one way with one number of clients, over all rounds.
#[derive(Default)]
struct Figures {
    latencies_ms: Vec<f64>,
    /// A round each.
    calls_per_second: Vec<f64>,
}

/// Latency and throughput of the status, at the endpoint and through the function, which is two connections more; beside
/// what the server itself takes for nothing at all.
pub async fn run(world: &World) -> Result<()> {
    let client = world.database(DATABASE).await?;
    create_table(&client, "documents", &spread(&world.embeddings.vectors, ROWS, 3)).await?;
    create_hnsw(&client, "documents_idx", "documents", HnswOptions { m: 16, ef_construction: 64 }).await?;
    let url = world.server.url(DATABASE);
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let endpoint = format!("postgresql://dba:of-the-dba@127.0.0.1:{port}/{DATABASE}");
    let config = std::env::temp_dir().join(format!("pgheal-bench-{}.toml", std::process::id()));
    let _daemon = daemon(world, &config, &url, port).await?;
    until_measured(&client).await?;

    let ways = [
        Way { what: "SELECT 1 on the server", url: url.clone(), statement: "SELECT 1" },
        Way { what: "status at the endpoint", url: endpoint, statement: STATUS },
        Way { what: "status through the function (dblink)", url, statement: STATUS },
    ];
    let mut figures: Vec<Vec<Figures>> = ways.iter().map(|_| CLIENTS.map(|_| Figures::default()).into()).collect();
    for round in 0..ROUNDS {
        eprintln!("round {} of {ROUNDS}", round + 1);
        for (way, figures) in ways.iter().zip(&mut figures) {
            for (clients, figures) in CLIENTS.into_iter().zip(figures) {
                measure(way, clients, figures).await.with_context(|| way.what)?;
            }
        }
    }
    std::fs::remove_file(&config)?;
    println!("{ROUNDS} interleaved rounds of {} s\n{}", ROUND.as_secs(), report(&ways, &mut figures));
    Ok(())
}

fn report(ways: &[Way], figures: &mut [Vec<Figures>]) -> Table {
    let mut table = table(&["what", "clients", "p50", "p99", "calls/s", "p50 ratio", "calls/s ratio"]);
    for (place, clients) in CLIENTS.into_iter().enumerate() {
        let mut base = None;
        for (way, figures) in ways.iter().zip(figures.iter_mut()) {
            let figures = &mut figures[place];
            figures.latencies_ms.sort_by(f64::total_cmp);
            let quantile = |share: f64| {
                let last = figures.latencies_ms.len() - 1;
                figures.latencies_ms[(share * last as f64).round() as usize]
            };
            let (p50, p99) = (quantile(0.5), quantile(0.99));
            let calls = median(&mut figures.calls_per_second);
            // The first way is what the others are compared with.
            let (base_p50, base_calls) = *base.get_or_insert((p50, calls));
            table.add_row([
                way.what.to_owned(),
                clients.to_string(),
                format!("{p50:.2} ms"),
                format!("{p99:.2} ms"),
                format!("{calls:.0}"),
                format!("{:.1} x", p50 / base_p50),
                format!("1/{:.1}", base_calls / calls),
            ]);
        }
    }
    table
}

/// A round: each client has one session, and asks again as soon as it has the answer.
async fn measure(way: &Way, clients: usize, figures: &mut Figures) -> Result<()> {
    let mut sessions = Vec::with_capacity(clients);
    for _ in 0..clients {
        let session = Client::connect(&way.url).await?;
        session.simple_query(way.statement).await?;
        sessions.push(session);
    }
    let began = Instant::now();
    let mut asking = JoinSet::new();
    for session in sessions {
        let statement = way.statement;
        asking.spawn(async move {
            let mut latencies_ms = Vec::new();
            while began.elapsed() < ROUND {
                let asked = Instant::now();
                session.simple_query(statement).await?;
                latencies_ms.push(asked.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(latencies_ms)
        });
    }
    let mut calls = 0;
    while let Some(asked) = asking.join_next().await {
        let latencies_ms = asked??;
        calls += latencies_ms.len();
        figures.latencies_ms.extend(latencies_ms);
    }
    figures.calls_per_second.push(calls as f64 / began.elapsed().as_secs_f64());
    Ok(())
}

/// The program, with its endpoint, and the functions in the database. It ends with its value.
async fn daemon(world: &World, config: &Path, url: &str, port: u16) -> Result<Child> {
    // Its cycles are rare: they would be measured along.
    let settings = format!(
        "[[target]]\nurl = \"{url}\"\n[healing]\nauto_heal_enabled = false\ncheck_interval_ms = 600000\n\
         [endpoint]\nlisten = \"127.0.0.1:{port}\"\n[endpoint.user.pgheal_functions]\n\
         password_env = \"PGHEAL_ENDPOINT_PASSWORD\"\nrole = \"reader\"\nforwards = true\n\
         [endpoint.user.dba]\npassword_env = \"DBA_PASSWORD\"\nrole = \"admin\"\n"
    );
    std::fs::write(config, settings)?;
    let daemon = program(world, &["run", "--config", &config.display().to_string()])?
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("pgheal cannot be run")?;
    let endpoint = format!("127.0.0.1:{port}");
    let installed = program(world, &["install", url, "--endpoint", &endpoint])?.output().await?;
    ensure!(installed.status.success(), "pgheal install: {}", String::from_utf8_lossy(&installed.stderr));
    Ok(daemon)
}

fn program(world: &World, arguments: &[&str]) -> Result<Command> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the tests lie in the workspace")?;
    let program = std::env::var_os("PGHEAL_BIN").map_or_else(|| built.join("target/release/pgheal"), PathBuf::from);
    let mut command = Command::new(program);
    command.args(arguments).envs(PASSWORDS).env("PGHEAL_POLICIES_DIR", &world.policies);
    command.stdin(Stdio::null()).kill_on_drop(true);
    Ok(command)
}

/// Its first cycle is over, and answers no question while it is measured.
async fn until_measured(client: &Client) -> Result<()> {
    let began = Instant::now();
    let measured = "SELECT 1 / ((ruvector_dag_healing_status()->'last_cycle'->>'duration_ms') IS NOT NULL)::int";
    while let Err(error) = client.simple_query(measured).await {
        if began.elapsed() > START_DEADLINE {
            bail!("the daemon does not lead: {error}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
