use anyhow::{Context, Result, bail};
use pgheal::measure::{MeasureOptions, measure};
use pgheal::model::{IndexDefinition, Silent};
use pgheal::pgvector::{DecodedIndex, IndexReader, Metric, ReaderOptions, StructureHealth, VectorType};
use pgheal::postgres::pages::{Pace, PageStream};
use pgheal::postgres::{Connector, Session, server_facts};
use pgheal_test_server::scenarios::{HnswOptions, create_hnsw, create_table};
use pgheal_test_server::{Client, VectorParam, execute, probe_rows, spread};

use super::world::{World, definition, median, table, timed};

const SIZES: [usize; 2] = [20_000, 100_000];
const LARGE: usize = 1_000_000;
const ROUNDS: usize = 5;
const PROBES: usize = 100;
const DATABASE: &str = "audit";
const TABLE: &str = "documents";
const INDEX: &str = "documents_embedding_idx";

/// Medians of one size, in seconds.
struct Figures {
    stream: f64,
    structure: f64,
    recall: f64,
    full: f64,
    exact_scans: f64,
    index_bytes: u64,
    graph_bytes_per_element: f64,
}

pub async fn run(world: &World, large: bool) -> Result<()> {
    let sizes = SIZES.into_iter().chain(large.then_some(LARGE));
    let mut table = table(&["what", "rows", "measured", "ratio", "goal"]);
    for rows in sizes {
        eprintln!("{rows} rows of {} dimensions, m = 16", world.embeddings.dimensions);
        let figures = at_size(world, rows).await?;
        let seconds = |s: f64| format!("{s:.3} s");
        let mb = figures.index_bytes as f64 / 1e6;
        let row = |what: &str, measured: String, ratio: String, goal: &str| {
            [what.to_owned(), rows.to_string(), measured, ratio, goal.to_owned()]
        };
        table.add_row(row(&format!("bare stream of the pages ({mb:.0} MB)"), seconds(figures.stream), "1".into(), ""));
        table.add_row(row(
            "audit of the structure",
            seconds(figures.structure),
            format!("{:.2} x the stream", figures.structure / figures.stream),
            "<= 1.5",
        ));
        table.add_row(row(
            &format!("audit with recall of {PROBES} queries and the curve"),
            seconds(figures.recall),
            format!("{:.1} x faster than exact scans", figures.exact_scans / figures.recall),
            ">= 5",
        ));
        table.add_row(row(&format!("{PROBES} exact scans in SQL"), seconds(figures.exact_scans), String::new(), ""));
        table.add_row(row(
            "check as by default (1,000 queries, unfindable rows)",
            seconds(figures.full),
            String::new(),
            "",
        ));
        table.add_row(row(
            "memory of the graph",
            format!("{:.0} bytes an element", figures.graph_bytes_per_element),
            String::new(),
            "<= 400",
        ));
    }
    println!("medians of {ROUNDS} interleaved rounds\n{table}");
    Ok(())
}

async fn at_size(world: &World, rows: usize) -> Result<Figures> {
    let client = world.database(DATABASE).await?;
    let vectors = spread(&world.embeddings.vectors, rows, 3);
    create_table(&client, TABLE, &vectors).await?;
    let (built, ()) = timed(create_hnsw(&client, INDEX, TABLE, HnswOptions { m: 16, ef_construction: 64 })).await?;
    eprintln!("  built in {built:.0} s");
    let connector = world.connector(DATABASE)?;
    let session = connector.connect("bench").await?;
    let index = definition(&session, INDEX).await?;
    let probes: Vec<&[f32]> = probe_rows(rows, PROBES, 9).into_iter().map(|row| vectors[row].as_slice()).collect();
    let with_recall = MeasureOptions { probe_count: PROBES, unfindable_sample: Some(0), ..unpaced() };

    let mut times: [Vec<f64>; 5] = Default::default();
    let mut graph_bytes_per_element = 0.0;
    for round in 0..ROUNDS {
        eprintln!("  round {} of {ROUNDS}", round + 1);
        times[0].push(timed(skim(&session, &index)).await?.0);
        let (took, decoded) = timed(structure(&session, &index)).await?;
        times[1].push(took);
        graph_bytes_per_element = bytes_per_element(&decoded)?;
        drop(decoded);
        times[2].push(timed(audit(&connector, &index, &with_recall)).await?.0);
        times[3].push(timed(audit(&connector, &index, &unpaced())).await?.0);
        times[4].push(timed(exact_scans(&client, &probes)).await?.0);
    }
    drop(session);
    drop(client);
    world.drop_database(DATABASE).await?;
    let [stream, structure, recall, full, exact_scans] = times.map(|mut times| median(&mut times));
    let index_bytes = index.size_bytes;
    Ok(Figures { stream, structure, recall, full, exact_scans, index_bytes, graph_bytes_per_element })
}

/// Speed is measured, and not the manners towards a busy server.
fn unpaced() -> MeasureOptions {
    MeasureOptions { pace: Pace::UNLIMITED, ..MeasureOptions::default() }
}

async fn skim(session: &Session, index: &IndexDefinition) -> Result<()> {
    let facts = server_facts(session).await?;
    let stream = PageStream::open(session, &facts, &index.name, Pace::UNLIMITED).await?;
    stream.skim(&Silent).await?;
    Ok(())
}

/// The graph and its figures, without keeping vectors.
async fn structure(session: &Session, index: &IndexDefinition) -> Result<DecodedIndex> {
    let facts = server_facts(session).await?;
    let stream = PageStream::open(session, &facts, &index.name, Pace::UNLIMITED).await?;
    let options = ReaderOptions {
        vector_type: VectorType::from_type_name(&index.vector_type).context("the vector type")?,
        metric: Metric::from_opclass(&index.opclass).context("the opclass")?,
        vector_memory_limit_bytes: 0,
        pages_expected: stream.blocks(),
    };
    let reader = IndexReader::new(index.name.method, options);
    let (mut reader, _) =
        stream.read(reader, |reader, block, page| drop(reader.push_page(block, page)), &Silent).await?;
    for (block, page) in stream.read_again(&reader.suspicious_blocks()).await? {
        reader.push_page(block, &page)?;
    }
    tokio::task::spawn_blocking(move || {
        let decoded = reader.finish()?;
        std::hint::black_box(decoded.health());
        Ok(decoded)
    })
    .await?
}

fn bytes_per_element(decoded: &DecodedIndex) -> Result<f64> {
    match decoded.health() {
        StructureHealth::Hnsw(health) => Ok(decoded.memory_bytes() as f64 / health.elements_live as f64),
        StructureHealth::Ivfflat(_) => bail!("not an HNSW index"),
    }
}

async fn audit(connector: &Connector, index: &IndexDefinition, options: &MeasureOptions) -> Result<()> {
    let measured = measure(connector, index, options, None, &Silent).await?;
    measured.health.search.recall.get().context("the recall is unknown")?;
    Ok(())
}

async fn exact_scans(client: &Client, probes: &[&[f32]]) -> Result<()> {
    execute(client, "SET enable_indexscan = off").await?;
    let statement = client.prepare(&format!("SELECT id FROM {TABLE} ORDER BY embedding <=> $1 LIMIT 11")).await?;
    for probe in probes {
        client.query(&statement, &[&VectorParam(probe)]).await?;
    }
    Ok(())
}
