use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use pgheal::components::{Limits, Policies, PolicyHost, RepairContext};
use pgheal::heal::repair::{RepairHost, RepairSettings};
use pgheal::measure::{MeasureOptions, Measurement, measure};
use pgheal::model::{
    AgendaItem, Diagnosis, IndexDefinition, IndexHealth, Issue, IssueKind, Outcome, RootCause, Severity, Silent,
};
use pgheal::postgres::{Connector, Journal, NewRepair};
use pgheal_test_server::scenarios::{HnswOptions, create_hnsw, create_table};
use pgheal_test_server::{Client, execute, single, tight_groups};

use super::world::{World, definition, table, timed};

/// Rows in groups of 200, as DESIGN measured them.
const SIZES: [usize; 2] = [12_000, 40_000];
const LARGE: usize = 200_000;
const PER_GROUP: usize = 200;
const NOISE: f32 = 0.2;
const SICK: HnswOptions = HnswOptions { m: 16, ef_construction: 64 };
const TEMPLATE: &str = "sick";
const COPY: &str = "patient";
const TABLE: &str = "variants";
const INDEX: &str = "variants_embedding_idx";
const STRATEGY: &str = "index_rebalance";
/// Of the details of a repair, those that say how it was done.
const TOLD: [&str; 6] = ["rounds", "rows_reinserted", "reinsertion_ms", "reinsertion_wal_bytes", "builds", "build"];
const SAMPLE_EVERY: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Surgical,
    Reindex,
    Rebuild,
}

/// What a method cost and gave.
struct Figures {
    after: IndexHealth,
    seconds: f64,
    wal_bytes: f64,
    peak_bytes: f64,
    /// What the strategy says of it; for REINDEX nothing.
    details: String,
}

pub async fn run(world: &World, large: bool) -> Result<()> {
    let (policies, failures) = Policies::load_dir(&world.policies, &Limits::default(), None).await?;
    for failure in failures {
        eprintln!("{failure}");
    }
    let mut table = table(&["rows", "method", "recall@10", "blind", "seconds", "WAL", "peak extra disk", "how"]);
    for rows in SIZES.into_iter().chain(large.then_some(LARGE)) {
        eprintln!("{rows} rows in groups of {PER_GROUP}, m = {}", SICK.m);
        let before = sick(world, rows).await?;
        table.add_row(
            [&rows.to_string(), "as found", &recall(&before), &blind(&before), "", "", "", ""].map(str::to_owned),
        );
        let reindex = on_a_copy(world, &policies, Method::Reindex).await?;
        for method in [Method::Surgical, Method::Rebuild] {
            let figures = on_a_copy(world, &policies, method).await?;
            table.add_row(row(rows, method, &figures, Some(&reindex)));
        }
        table.add_row(row(rows, Method::Reindex, &reindex, None));
        world.drop_database(TEMPLATE).await?;
    }
    println!("each on a copy of the same sick index; ratios against REINDEX CONCURRENTLY\n{table}");
    println!("goals: surgical repair <= 0.5 x the time, <= 0.2 x the WAL; rebuild <= 1.25 x the time");
    Ok(())
}

/// The database that the others are copied from.
async fn sick(world: &World, rows: usize) -> Result<IndexHealth> {
    let client = world.database(TEMPLATE).await?;
    let vectors = tight_groups(&world.embeddings.vectors, rows / PER_GROUP, PER_GROUP, NOISE, 11);
    create_table(&client, TABLE, &vectors).await?;
    create_hnsw(&client, INDEX, TABLE, SICK).await?;
    drop(client);
    Ok(measured(&world.connector(TEMPLATE)?).await?.1.health)
}

async fn on_a_copy(world: &World, policies: &Policies, method: Method) -> Result<Figures> {
    eprintln!("  {}", name(method));
    let maintenance = world.server.connect("postgres").await?;
    execute(&maintenance, &format!("CREATE DATABASE {COPY} TEMPLATE {TEMPLATE}")).await?;
    let connector = world.connector(COPY)?;
    // The journal's tables are made once in a database's life.
    let journal = Arc::new(Journal::open(&connector).await?);
    let (index, before) = measured(&connector).await?;
    execute(&maintenance, "CHECKPOINT").await?;
    let wal_before = wal_position(&maintenance).await?;
    let disk = Disk::watch(world).await?;
    let (seconds, details) = timed(async {
        match method {
            Method::Reindex => {
                let client = world.server.connect(COPY).await?;
                execute(&client, &format!("REINDEX INDEX CONCURRENTLY {INDEX}")).await.map(|()| String::new())
            }
            Method::Surgical | Method::Rebuild => repair(&connector, &journal, policies, &index, before, method).await,
        }
    })
    .await?;
    let peak_bytes = disk.peak().await?;
    let wal_bytes = wal_position(&maintenance).await? - wal_before;
    let after = measured(&connector).await?.1.health;
    drop(journal);
    world.drop_database(COPY).await?;
    Ok(Figures { after, seconds, wal_bytes, peak_bytes, details })
}

/// The shipped strategy, which is refused the other method.
async fn repair(
    connector: &Connector,
    journal: &Arc<Journal>,
    policies: &Policies,
    index: &IndexDefinition,
    before: Measurement,
    method: Method,
) -> Result<String> {
    let agenda = agenda(index, &before.health)?;
    let strategy = policies.strategy(STRATEGY)?;
    let nothing = serde_json::Value::Null;
    let digest = &strategy.info().digest;
    let new = NewRepair { agenda: &agenda, strategy: STRATEGY, digest, before: &nothing };
    let id = journal.start_repair(&new).await?;
    let host = RepairHost::new(
        connector.clone(),
        Arc::clone(journal),
        id,
        Some(index.clone()),
        RepairSettings::default(),
        MeasureOptions::default(),
        Arc::new(Silent),
    );
    host.adopt_measurement(before).await;
    let refused = |refused: bool| refused.then(|| "the bench measures the other method".to_owned());
    let context = RepairContext {
        diagnosis: agenda.diagnosis.clone(),
        recall_target: 0.95,
        max_blind_share: 0.005,
        dry_run: false,
        consent_irreversible: false,
        reinsertion_refused: refused(method == Method::Rebuild),
        rebuild_refused: refused(method == Method::Surgical),
        parameter_refused: None,
        settings: Vec::new(),
    };
    let policy_host: Arc<dyn PolicyHost> = host.clone();
    let result = strategy.repair(&agenda.diagnosis.issue, &context, policy_host).await?;
    let (outcome, told, result) = match result {
        Ok(result) => {
            host.settle().await?;
            let told = result.details.iter().filter(|detail| TOLD.contains(&detail.name.as_str()));
            let told: Vec<String> = told.map(|detail| format!("{} {}", detail.name, detail.value)).collect();
            (Outcome::Healed, told.join(", "), Some(result))
        }
        Err(failure) => {
            host.undo_open().await?;
            (Outcome::RolledBack, format!("gave up: {failure}"), None)
        }
    };
    journal.finish_repair(id, outcome, result.as_ref(), &told, &nothing).await?;
    Ok(told)
}

fn agenda(index: &IndexDefinition, health: &IndexHealth) -> Result<AgendaItem> {
    let unfindable = health.search.unfindable.known().context("the unfindable elements are unknown")?;
    let kind = IssueKind::BlindSpots {
        blind_share: health.search.blind_share.get().context("the blind share is unknown")?,
        unfindable: unfindable.count,
        unfindable_of: unfindable.of_sampled,
    };
    let issue = Issue {
        id: "bench".to_owned(),
        severity: Severity::High,
        kind,
        index: Some(index.name.clone()),
        evidence: Vec::new(),
    };
    let diagnosis = Diagnosis {
        issue,
        cause: RootCause::GraphBlindSpots,
        confidence: 1.0,
        explanation: "built sick for the bench".to_owned(),
        evidence: Vec::new(),
        impact: String::new(),
    };
    Ok(AgendaItem { diagnosis, priority: 100.0, reason: "the bench".to_owned() })
}

async fn measured(connector: &Connector) -> Result<(IndexDefinition, Measurement)> {
    let session = connector.connect("bench").await?;
    let index = definition(&session, INDEX).await?;
    let measurement = measure(connector, &index, &MeasureOptions::default(), None, &Silent).await?;
    Ok((index, measurement))
}

async fn wal_position(client: &Client) -> Result<f64> {
    let text = single(client, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')").await?;
    Ok(text.context("no WAL position")?.parse()?)
}

/// Watches how large the copy's files become, without WAL.
struct Disk {
    start: u64,
    peak: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    watcher: tokio::task::JoinHandle<()>,
}

impl Disk {
    async fn watch(world: &World) -> Result<Disk> {
        let client = world.server.connect("postgres").await?;
        let sql = format!("SELECT oid FROM pg_database WHERE datname = '{COPY}'");
        let oid = single(&client, &sql).await?.context("no database")?;
        let directory = world.server.data_directory().join("base").join(oid);
        let start = size(&directory);
        let (peak, stop) = (Arc::new(AtomicU64::new(start)), Arc::new(AtomicBool::new(false)));
        let (seen, ended) = (Arc::clone(&peak), Arc::clone(&stop));
        let watcher = tokio::spawn(async move {
            while !ended.load(Ordering::Relaxed) {
                seen.fetch_max(size(&directory), Ordering::Relaxed);
                tokio::time::sleep(SAMPLE_EVERY).await;
            }
        });
        Ok(Disk { start, peak, stop, watcher })
    }

    /// Stops watching. Gives the bytes more than in the beginning, at the worst moment.
    async fn peak(self) -> Result<f64> {
        self.stop.store(true, Ordering::Relaxed);
        self.watcher.await?;
        Ok(self.peak.load(Ordering::Relaxed).saturating_sub(self.start) as f64)
    }
}

/// Files come and go while they are counted.
fn size(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum()
}

fn row(rows: usize, method: Method, figures: &Figures, against: Option<&Figures>) -> [String; 8] {
    let ratio = |value: f64, of: fn(&Figures) -> f64| match against {
        Some(other) if of(other) > 0.0 => format!(" ({:.2} x)", value / of(other)),
        _ => String::new(),
    };
    [
        rows.to_string(),
        name(method).to_owned(),
        recall(&figures.after),
        blind(&figures.after),
        format!("{:.2}{}", figures.seconds, ratio(figures.seconds, |f| f.seconds)),
        format!("{:.1} MB{}", figures.wal_bytes / 1e6, ratio(figures.wal_bytes, |f| f.wal_bytes)),
        format!("{:.1} MB{}", figures.peak_bytes / 1e6, ratio(figures.peak_bytes, |f| f.peak_bytes)),
        figures.details.clone(),
    ]
}

fn name(method: Method) -> &'static str {
    match method {
        Method::Surgical => "surgical repair",
        Method::Reindex => "REINDEX CONCURRENTLY",
        Method::Rebuild => "rebuild, larger m",
    }
}

fn recall(health: &IndexHealth) -> String {
    health.search.recall.get().map_or_else(|| "unknown".to_owned(), |recall| format!("{recall:.4}"))
}

fn blind(health: &IndexHealth) -> String {
    health.search.blind_share.get().map_or_else(|| "unknown".to_owned(), |share| format!("{:.2} %", share * 100.0))
}
