//! Surgical repair: takes rows out of an HNSW index and puts them in again, without any other session seeing them
//! absent, and without changing their data.
//!
//! In one transaction each row's indexed column is set to NULL (where it may not be NULL: to another row's value)
//! and then back. The two updates cannot be HOT, since both change an indexed column, so the second inserts the
//! row into the index again: pgvector searches the graph for it, and where that search does not find the row's old
//! element, it makes a new one and connects it to what it found. Other sessions see the old version until the
//! commit and the new one after it. VACUUM then takes the old element away and closes the gaps.
//!
//! Where the insertion's search does find the old element (`ef_construction` looks wider than `ef_search`), the row
//! only joins it and nothing changes. Such a row comes back as unfindable: it is then put in as often as fills
//! the element's ten places, and the one after that gets an element of its own. A row that finds itself, but none of
//! its neighbours, is put in so often at once. Put in as before, both would get the same bad neighbours again: for these
//! rows the index's `ef_construction` is raised as long as they are put in, which needs its lock for a moment.

mod batch;
mod column;
mod wider;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::OwnedMutexGuard;
use tokio_postgres::Client;

use crate::components::{HostError, Reinsertion};
use crate::heal::repair::error::{database_error, journal_error};
use crate::heal::repair::host::Work;
use crate::heal::repair::refusals::refusals;
use crate::heal::repair::state::State;
use crate::model::{IndexDefinition, IndexName, Tid};
use crate::postgres::liveness::RowVisibility;
use crate::postgres::{Action, Step, Undo, server_facts};

use batch::{Batch, BatchOutcome, Replacement};

pub use column::{BaseColumn, base_column};
pub use wider::restore as restore_ef_construction;

use wider::Wider;

/// Heap TIDs of an element (HNSW_HEAPTIDS).
const ELEMENT_PLACES: u32 = 10;
/// Insertions of the first transaction; the next ones follow the time that it took. On a busy server a wide insertion
/// takes 10 ms and more.
const FIRST_BATCH: usize = 10;
const SMALLEST_BATCH: usize = 5;

/// Re-inserts the rows whose chains begin at `rows`, in small transactions.
pub async fn reinsert_rows(
    work: Arc<Work>,
    mut state: OwnedMutexGuard<State>,
    index: IndexName,
    rows: Vec<Tid>,
) -> Result<Reinsertion, HostError> {
    let (mut session, definition) = work.open(&index, "re-insertion").await?;
    if let Some(reason) = refusals(&session, &definition, &work.settings).await?.reinsertion {
        return Err(HostError::Denied(format!("rows of {} are not re-inserted: {reason}", definition.name)));
    }
    let column = base_column(&session, &definition).await?.map_err(HostError::Denied)?;
    let silence = may_silence_triggers(&session).await?;
    let undo = Undo::Nothing { why: "the rows' data does not change".to_owned() };
    let asked = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    let step = Step::new(Action::ReinsertRows { index: definition.name.clone(), rows: asked }, undo)
        .on_object(&definition.name.name)
        .by_backend(session.backend.clone());
    let step_id = work.begin(&step).await?;
    state.forget();
    let begun = Instant::now();
    let mut run = Run { work: &work, definition: &definition, column: &column, silence, sum: Reinsertion::default() };
    let result = run.all(&mut session, &mut state, &rows).await;
    let mut sum = run.sum;
    sum.took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    sum.skipped = asked.saturating_sub(sum.rows);
    let note =
        format!("{} rows, {} skipped, {} ms, {} bytes of WAL", sum.rows, sum.skipped, sum.took_ms, sum.wal_bytes);
    match result {
        Ok(()) => work.done(step_id, None, &note).await.map(|()| sum),
        Err(error) => {
            // What was committed before stays, and is right; there is nothing to take back.
            work.journal.fail_step(step_id, &format!("{error}; {note}")).await.map_err(journal_error)?;
            Err(error)
        }
    }
}

struct Run<'a> {
    work: &'a Work,
    definition: &'a IndexDefinition,
    column: &'a BaseColumn,
    silence: bool,
    sum: Reinsertion,
}

impl Run<'_> {
    async fn all(
        &mut self,
        session: &mut crate::heal::repair::session::ActionSession,
        state: &mut State,
        rows: &[Tid],
    ) -> Result<(), HostError> {
        let settings = &self.work.settings;
        let lock_timeout = format!("{}ms", settings.lock_timeout.as_millis().max(1));
        session.set(&[("lock_timeout", &lock_timeout), ("enable_seqscan", "off"), ("jit", "off")]).await?;
        let batch = Batch::prepare(session, self.definition, self.column).await?;
        let places = self.visible_places(session, state, rows).await?;
        // Insertions of rows that an insertion did not help before look wider.
        let wider = match places.iter().any(|(_, times)| *times > 1) {
            true => Wider::raise(self.work, session, self.definition).await?,
            false => None,
        };
        session.set(&[("lock_timeout", &lock_timeout)]).await?;
        let result = self.batches(session, state, &batch, &places).await;
        match wider {
            Some(wider) => wider.restore(self.work).await.and(result),
            None => result,
        }
    }

    async fn batches(
        &mut self,
        session: &mut crate::heal::repair::session::ActionSession,
        state: &mut State,
        batch: &Batch,
        places: &[(Tid, u32)],
    ) -> Result<(), HostError> {
        let settings = &self.work.settings;
        let total = u64::try_from(places.len()).unwrap_or(u64::MAX);
        self.work.progress.phase("re-inserting rows", Some(total));
        let wal_before = wal_position(session).await?;
        let mut replacement = if self.column.not_null { Replacement::OtherRow } else { Replacement::Null };
        let mut size = FIRST_BATCH.min(settings.reinsert_insertions).max(1);
        let mut next = 0;
        while next < places.len() {
            if self.work.is_abandoned() {
                return Err(HostError::Limit("the call that asked for this was ended".to_owned()));
            }
            let part = &places[next..next + rows_of(&places[next..], size)];
            let began = Instant::now();
            match batch.run(session, part, replacement, self.silence).await? {
                BatchOutcome::Done(moved) => {
                    self.sum.rows += u64::try_from(moved.len()).unwrap_or(u64::MAX);
                    state.reinserted.extend(moved);
                }
                // A check or a domain refuses NULL: the same rows again, with another row's value between.
                BatchOutcome::NullRefused if replacement == Replacement::Null => {
                    replacement = Replacement::OtherRow;
                    continue;
                }
                BatchOutcome::NullRefused | BatchOutcome::Contended => {}
            }
            next += part.len();
            self.work.progress.done(u64::try_from(next).unwrap_or(u64::MAX));
            let insertions = part.iter().map(|(_, times)| *times as usize).sum();
            size = next_size(insertions, began.elapsed(), settings.reinsert_lock_time, settings.reinsert_insertions);
            self.sum.wal_bytes = wal_position(session).await?.saturating_sub(wal_before);
        }
        Ok(())
    }

    /// Where the rows are now, with the number of times that each is to be put in. Rows that are gone are left out.
    async fn visible_places(
        &self,
        client: &Client,
        state: &State,
        roots: &[Tid],
    ) -> Result<Vec<(Tid, u32)>, HostError> {
        let facts = server_facts(client).await.map_err(|e| HostError::Unknown(e.to_string()))?;
        let unknown = |e: crate::postgres::liveness::LivenessError| HostError::Unknown(e.to_string());
        let mut rows =
            RowVisibility::open(&self.work.connector, &self.definition.name, &facts).await.map_err(unknown)?;
        rows.resolve(roots).await.map_err(unknown)?;
        let places = roots
            .iter()
            .filter_map(|root| {
                let is_joined = state.reinserted.contains(root) || state.misplaced.contains(root);
                let times = if is_joined { ELEMENT_PLACES + 1 } else { 1 };
                Some((rows.visible_row(*root)?, times))
            })
            .collect();
        rows.release().await.map_err(unknown)?;
        Ok(places)
    }
}

/// How many of the rows make about so many insertions; at least one.
fn rows_of(places: &[(Tid, u32)], insertions: usize) -> usize {
    let mut sum = 0;
    let fitting = places.iter().take_while(|(_, times)| {
        sum += *times as usize;
        sum <= insertions
    });
    fitting.count().max(1)
}

/// As many insertions as would have taken the wanted time, at most twice as many as now.
fn next_size(insertions: usize, took: std::time::Duration, wanted: std::time::Duration, most: usize) -> usize {
    let share = wanted.as_secs_f64() / took.as_secs_f64().max(1e-6);
    // At most doubled, and the product of a small count: it fits.
    let size = (insertions as f64 * share.min(2.0)) as usize;
    size.clamp(SMALLEST_BATCH.min(most.max(1)), most.max(1))
}

async fn may_silence_triggers(client: &Client) -> Result<bool, HostError> {
    let row = client
        .query_one(
            "SELECT coalesce((SELECT rolsuper FROM pg_roles WHERE rolname = current_user), false)
                 OR CASE WHEN current_setting('server_version_num')::int >= 150000
                         THEN (SELECT has_parameter_privilege('session_replication_role', 'SET')) ELSE false END",
            &[],
        )
        .await
        .map_err(|e| database_error(&e))?;
    Ok(row.get(0))
}

/// The server's WAL position in bytes. Differences hold what other sessions wrote, too.
async fn wal_position(client: &Client) -> Result<u64, HostError> {
    let row = client
        .query_one("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint", &[])
        .await
        .map_err(|e| database_error(&e))?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn check(insertions: usize, took_ms: u64, expected: usize) {
        assert_eq!(next_size(insertions, Duration::from_millis(took_ms), Duration::from_millis(100), 200), expected);
    }

    #[test]
    fn batches_follow_the_time_that_they_took() {
        check(50, 100, 50);
        check(50, 200, 25);
        check(50, 10, 100);
        check(150, 10, 200);
        check(10, 10_000, 5);
        check(3, 0, 6);
    }

    fn check_rows(times: &[u32], insertions: usize, expected: usize) {
        let places: Vec<(Tid, u32)> = times.iter().map(|times| (Tid { block: 0, offset: 1 }, *times)).collect();
        assert_eq!(rows_of(&places, insertions), expected);
    }

    #[test]
    fn rows_that_are_put_in_often_make_small_batches() {
        check_rows(&[1, 1, 1], 2, 2);
        check_rows(&[11, 11, 11], 25, 2);
        check_rows(&[11, 1], 5, 1);
        check_rows(&[1], 50, 1);
    }
}
