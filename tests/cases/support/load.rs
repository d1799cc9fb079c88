//! Clients that insert, update and query without pause.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pgheal_test_server::{Client, VectorParam, execute};
use rand::Rng;
use tokio::task::JoinHandle;

use super::World;

/// The swap's lock timeout is 200 ms; the server says of every wait that lasts longer than this that it does.
pub const LONG_WAIT_MS: u32 = 250;

/// Clients at work, each on a session of its own.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<(&'static str, JoinHandle<Result<Work>>)>,
}

/// What one client did.
#[derive(Default)]
struct Work {
    statements: u64,
    slowest: Duration,
    inserted: i64,
    /// The note last written to each row.
    notes: HashMap<i64, String>,
}

/// What all of them did.
pub struct Seen {
    pub statements: Vec<(&'static str, u64)>,
    pub slowest: Duration,
    pub inserted: i64,
    /// The note last written to each row.
    pub notes: HashMap<i64, String>,
}

impl Load {
    /// On the table `docs` with that many rows. What is inserted and updated gets vectors of `fresh`, and those are
    /// searched for.
    pub async fn begin(world: &World, rows: i64, fresh: Vec<Vec<f32>>) -> Result<Load> {
        let (stop, fresh) = (Arc::new(AtomicBool::new(false)), Arc::new(fresh));
        let next = Arc::new(AtomicI64::new(1_000_000));
        let mut clients: Vec<(&'static str, JoinHandle<Result<Work>>)> = Vec::new();
        let session = || async {
            let client = world.connect().await?;
            let name = format!("load {}", world.database);
            execute(&client, &format!("SET application_name = '{name}'; SET deadlock_timeout = {LONG_WAIT_MS}"))
                .await?;
            anyhow::Ok(client)
        };
        clients.push(("inserts", tokio::spawn(inserts(session().await?, Arc::clone(&stop), Arc::clone(&fresh), next))));
        // Each of the two has its own rows, so that the last note of a row is known.
        clients.push(("updates", tokio::spawn(updates(session().await?, Arc::clone(&stop), Arc::clone(&fresh), rows))));
        clients.push(("transactions", tokio::spawn(pairs(session().await?, Arc::clone(&stop), rows))));
        clients.push(("queries", tokio::spawn(queries(session().await?, Arc::clone(&stop), fresh))));
        Ok(Load { stop, clients })
    }

    /// # Errors
    /// With the first error that a client got.
    pub async fn end(self) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let mut seen = Seen { statements: Vec::new(), slowest: Duration::ZERO, inserted: 0, notes: HashMap::new() };
        for (what, client) in self.clients {
            let work = client.await?.with_context(|| format!("the client that does {what} got an error"))?;
            seen.statements.push((what, work.statements));
            seen.slowest = seen.slowest.max(work.slowest);
            seen.inserted += work.inserted;
            seen.notes.extend(work.notes);
        }
        Ok(seen)
    }
}

impl Work {
    fn count(&mut self, begin: Instant) {
        self.statements += 1;
        self.slowest = self.slowest.max(begin.elapsed());
    }
}

async fn inserts(
    client: Client,
    stop: Arc<AtomicBool>,
    rows: Arc<Vec<Vec<f32>>>,
    next: Arc<AtomicI64>,
) -> Result<Work> {
    let insert = client.prepare("INSERT INTO docs (id, embedding) VALUES ($1, $2)").await?;
    let mut work = Work::default();
    while !stop.load(Ordering::Relaxed) {
        let id = next.fetch_add(1, Ordering::Relaxed);
        let begin = Instant::now();
        client.execute(&insert, &[&id, &VectorParam(&rows[id as usize % rows.len()])]).await?;
        work.count(begin);
        work.inserted += 1;
        breathe().await;
    }
    Ok(work)
}

/// New vectors and notes for rows with even ids, row by row.
async fn updates(client: Client, stop: Arc<AtomicBool>, vectors: Arc<Vec<Vec<f32>>>, rows: i64) -> Result<Work> {
    let update = client.prepare("UPDATE docs SET embedding = $2, note = $3 WHERE id = $1").await?;
    let mut work = Work::default();
    while !stop.load(Ordering::Relaxed) {
        let id = rand::rng().random_range(0..rows / 2) * 2;
        let note = format!("updated {}", work.statements);
        let begin = Instant::now();
        let changed =
            client.execute(&update, &[&id, &VectorParam(&vectors[id as usize % vectors.len()]), &note]).await?;
        work.count(begin);
        ensure!(changed == 1, "row {id} was not there to be updated");
        work.notes.insert(id, note);
        breathe().await;
    }
    Ok(work)
}

/// Transactions that lock two rows with odd ids in any order: whoever else locks rows must not deadlock with them.
async fn pairs(mut client: Client, stop: Arc<AtomicBool>, rows: i64) -> Result<Work> {
    let update = client.prepare("UPDATE docs SET note = $2 WHERE id = $1").await?;
    let mut work = Work::default();
    while !stop.load(Ordering::Relaxed) {
        let ids = [0, 1].map(|_| rand::rng().random_range(0..rows / 2) * 2 + 1);
        let note = format!("together {}", work.statements);
        let transaction = client.transaction().await?;
        for id in ids {
            let begin = Instant::now();
            let changed = transaction.execute(&update, &[&id, &note]).await?;
            work.count(begin);
            ensure!(changed == 1, "row {id} was not there to be updated");
        }
        transaction.commit().await?;
        work.notes.extend(ids.map(|id| (id, note.clone())));
        breathe().await;
    }
    Ok(work)
}

async fn queries(client: Client, stop: Arc<AtomicBool>, rows: Arc<Vec<Vec<f32>>>) -> Result<Work> {
    execute(&client, "SET enable_seqscan = off; SET enable_sort = off").await?;
    let query = client.prepare("SELECT id FROM docs ORDER BY embedding <=> $1 LIMIT 10").await?;
    let mut work = Work::default();
    while !stop.load(Ordering::Relaxed) {
        let vector = VectorParam(&rows[work.statements as usize % rows.len()]);
        let begin = Instant::now();
        let found = client.query(&query, &[&vector]).await?;
        work.count(begin);
        if found.is_empty() {
            let again = client.query(&query, &[&vector]).await?.len();
            let around = what_goes_on(&client).await;
            bail!("query {} found nothing, {again} rows the second time; meanwhile: {around:?}", work.statements);
        }
        breathe().await;
    }
    Ok(work)
}

/// What may explain an empty answer: a VACUUM and its phase, the indexes, the steps of the repair.
async fn what_goes_on(client: &Client) -> Result<String> {
    let row = client
        .query_one(
            "SELECT concat_ws('; ', \
               (SELECT string_agg(concat_ws(' ', 'vacuum', phase), ', ') \
                FROM pg_stat_progress_vacuum WHERE datname = current_database()), \
               (SELECT string_agg(concat_ws(' ', indexrelid::regclass, indisvalid, indisready), ', ') \
                FROM pg_index WHERE indrelid = 'docs'::regclass), \
               (SELECT string_agg(concat_ws(' ', action ->> 'kind', state), ', ') FROM pgheal.journal))",
            &[],
        )
        .await?;
    Ok(row.try_get(0)?)
}

/// So that the two cores are not only the clients'.
async fn breathe() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}
