use std::collections::BTreeMap;

use bytes::Bytes;
use tokio_postgres::error::SqlState;

use super::heap_page::HeapPage;
use crate::model::{IndexName, Tid, TidMap, TidSet, quote_identifier};
use crate::postgres::{ConnectError, Connector, PageAccess, PgTid, SendFormat, ServerFacts, Session, quote_literal};

/// TIDs of one `ctid = ANY` query.
const TIDS_AT_ONCE: usize = 20_000;
/// Heap pages of one read.
const PAGES_AT_ONCE: usize = 1_024;
/// Bytes of a page's header, and of the smallest row with its line pointer: what bounds the rows of a page.
const PAGE_HEADER_BYTES: u32 = 24;
const SMALLEST_ROW_BYTES: u32 = 28;

/// Why the visibility of rows could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum LivenessError {
    #[error("row security hides rows of the table from role {role}; connect as its owner or as a role with BYPASSRLS")]
    RowSecurity { role: String },
    #[error("role {role} may not read the table; GRANT SELECT on it")]
    Permission { role: String },
    #[error("the table was dropped while it was measured")]
    Dropped,
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("PostgreSQL could not read the table")]
    Database(#[source] tokio_postgres::Error),
}

/// What a snapshot of a table sees. The snapshot is taken by the first question and held until `release`: keep that
/// short, since it holds back vacuum and makes DDL on the table wait. Answers outlive it; what is asked after a
/// `release` is answered by a new snapshot.
pub struct RowVisibility {
    session: Session,
    holds_snapshot: bool,
    table: String,
    heap_pages_in: Option<String>,
    /// Rows that a page can hold.
    rows_of_a_page: u16,
    role: String,
    /// Roots with a visible row, and where in its chain that row is.
    visible_at: TidMap<Tid>,
    dead: TidSet,
    undecided: TidSet,
}

impl RowVisibility {
    pub async fn open(connector: &Connector, index: &IndexName, facts: &ServerFacts) -> Result<Self, LivenessError> {
        let session = connector.connect("row visibility").await?;
        let heap_pages_in = match &facts.page_access {
            PageAccess::GetRawPage { schema } => Some(schema.clone()),
            PageAccess::Reader | PageAccess::None { .. } => None,
        };
        let visibility = RowVisibility {
            session,
            holds_snapshot: false,
            table: index.qualified_table(),
            heap_pages_in,
            rows_of_a_page: u16::try_from((facts.block_size - PAGE_HEADER_BYTES) / SMALLEST_ROW_BYTES)
                .unwrap_or(u16::MAX),
            role: facts.role.clone(),
            visible_at: TidMap::default(),
            dead: TidSet::default(),
            undecided: TidSet::default(),
        };
        // Without row_security = off, rows that a policy hides would count as dead. A client that computes between
        // two queries must not be taken for an idle one.
        let settings =
            "SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0; SET lock_timeout = '10s';
            SET row_security = off; SET enable_seqscan = off; SET jit = off";
        visibility.session.batch_execute(settings).await.map_err(|e| visibility.error(e))?;
        Ok(visibility)
    }

    /// Finds out about every root given; ask `is_visible` afterwards. What is known already is not asked again.
    pub async fn resolve(&mut self, roots: &[Tid]) -> Result<(), LivenessError> {
        let unknown: Vec<Tid> = roots.iter().copied().filter(|tid| !self.is_known(*tid)).collect();
        if !unknown.is_empty() {
            self.hold().await?;
        }
        for chunk in unknown.chunks(TIDS_AT_ONCE) {
            let direct = self.visible_among(chunk).await?;
            let rest: Vec<Tid> = chunk.iter().copied().filter(|tid| !direct.contains(tid)).collect();
            self.visible_at.extend(direct.into_iter().map(|tid| (tid, tid)));
            match self.heap_pages_in.clone() {
                Some(schema) => self.follow_chains(&schema, &rest).await?,
                None => self.undecided.extend(rest),
            }
        }
        Ok(())
    }

    /// Whether the snapshot sees a row of the chain that begins at `root`; None where that was not asked, or could
    /// not be decided.
    pub fn is_visible(&self, root: Tid) -> Option<bool> {
        if self.visible_at.contains_key(&root) {
            return Some(true);
        }
        self.dead.contains(&root).then_some(false)
    }

    /// The TID of the visible row of the chain: what a query's `ctid` shows for it.
    pub fn visible_row(&self, root: Tid) -> Option<Tid> {
        self.visible_at.get(&root).copied()
    }

    /// Roots without a visible row in their own place, whose chains could not be followed: the role may not read
    /// heap pages.
    pub fn undecided(&self) -> impl Iterator<Item = Tid> + '_ {
        self.undecided.iter().copied()
    }

    /// Settles an undecided root by other knowledge.
    pub fn decide(&mut self, root: Tid, visible_row: Option<Tid>) {
        if self.undecided.remove(&root) {
            match visible_row {
                Some(row) => {
                    self.visible_at.insert(root, row);
                }
                None => {
                    self.dead.insert(root);
                }
            }
        }
    }

    /// The snapshot's id, for other sessions that are to see the same (`SET TRANSACTION SNAPSHOT`) while it is held.
    pub async fn export(&mut self) -> Result<String, LivenessError> {
        self.hold().await?;
        let row = self.session.query_one("SELECT pg_export_snapshot()", &[]).await.map_err(|e| self.error(e))?;
        row.try_get(0).map_err(|e| self.error(e))
    }

    /// Every visible row of these blocks that satisfies `condition`, with the value of `expression` (both are SQL
    /// over the table's columns) in the binary send format of its type.
    pub async fn visible_rows(
        &mut self,
        blocks: &[u32],
        expression: &str,
        condition: &str,
    ) -> Result<Vec<(Tid, Bytes)>, LivenessError> {
        let sql = format!("SELECT ctid, {expression} FROM ONLY {} WHERE ctid = ANY($1) AND {condition}", self.table);
        self.hold().await?;
        let mut found = Vec::new();
        for chunk in blocks.chunks(TIDS_AT_ONCE / usize::from(self.rows_of_a_page)) {
            let tids: Vec<PgTid> = chunk
                .iter()
                .flat_map(|block| (1..=self.rows_of_a_page).map(|offset| PgTid(Tid { block: *block, offset })))
                .collect();
            for row in self.session.query(&sql, &[&tids]).await.map_err(|e| self.error(e))? {
                let tid: PgTid = row.try_get(0).map_err(|e| self.error(e))?;
                let value: SendFormat = row.try_get(1).map_err(|e| self.error(e))?;
                found.push((tid.0, value.0));
            }
        }
        Ok(found)
    }

    /// Takes the snapshot, if none is held.
    async fn hold(&mut self) -> Result<(), LivenessError> {
        if !self.holds_snapshot {
            let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
            self.session.batch_execute(begin).await.map_err(|e| self.error(e))?;
            self.holds_snapshot = true;
        }
        Ok(())
    }

    /// Gives the snapshot up, if one is held.
    pub async fn release(&mut self) -> Result<(), LivenessError> {
        if self.holds_snapshot {
            self.session.batch_execute("COMMIT").await.map_err(|e| self.error(e))?;
            self.holds_snapshot = false;
        }
        Ok(())
    }

    /// Gives the snapshot and the session up.
    pub async fn close(mut self) -> Result<(), LivenessError> {
        self.release().await
    }

    fn is_known(&self, tid: Tid) -> bool {
        self.visible_at.contains_key(&tid) || self.dead.contains(&tid) || self.undecided.contains(&tid)
    }

    async fn visible_among(&self, tids: &[Tid]) -> Result<TidSet, LivenessError> {
        let wanted: Vec<PgTid> = tids.iter().copied().map(PgTid).collect();
        let sql = format!("SELECT ctid FROM ONLY {} WHERE ctid = ANY($1)", self.table);
        let rows = self.session.query(&sql, &[&wanted]).await.map_err(|e| self.error(e))?;
        rows.iter().map(|row| row.try_get::<_, PgTid>(0).map(|tid| tid.0).map_err(|e| self.error(e))).collect()
    }

    /// After a HOT update the index still holds the root, while the visible row is further down the chain.
    async fn follow_chains(&mut self, schema: &str, roots: &[Tid]) -> Result<(), LivenessError> {
        let mut by_block: BTreeMap<u32, Vec<Tid>> = BTreeMap::new();
        for root in roots {
            by_block.entry(root.block).or_default().push(*root);
        }
        let blocks: Vec<u32> = by_block.keys().copied().collect();
        let mut root_of: TidMap<Tid> = TidMap::default();
        for chunk in blocks.chunks(PAGES_AT_ONCE) {
            for (block, page) in self.heap_pages(schema, chunk).await? {
                let Some(page) = HeapPage::new(&page) else { continue };
                for root in by_block.get(&block).into_iter().flatten() {
                    let members = page.chain(block, root.offset).into_iter().filter(|offset| *offset != root.offset);
                    root_of.extend(members.map(|offset| (Tid { block, offset }, *root)));
                }
            }
        }
        let members: Vec<Tid> = root_of.keys().copied().collect();
        for chunk in members.chunks(TIDS_AT_ONCE) {
            for row in self.visible_among(chunk).await? {
                if let Some(root) = root_of.get(&row) {
                    self.visible_at.insert(*root, row);
                }
            }
        }
        self.dead.extend(roots.iter().filter(|root| !self.visible_at.contains_key(*root)));
        Ok(())
    }

    async fn heap_pages(&self, schema: &str, blocks: &[u32]) -> Result<Vec<(u32, Vec<u8>)>, LivenessError> {
        let numbers: Vec<i64> = blocks.iter().map(|b| i64::from(*b)).collect();
        // A vacuum may have cut off the end of the table since the index was read: such rows are dead.
        let sql = format!(
            "WITH size AS MATERIALIZED (
                SELECT pg_relation_size({table}::regclass) / current_setting('block_size')::bigint AS blocks)
            SELECT b, {schema}.get_raw_page({table}, b::int) FROM size, unnest($1::bigint[]) AS b WHERE b < size.blocks",
            table = quote_literal(&self.table),
            schema = quote_identifier(schema),
        );
        let rows = self.session.query(&sql, &[&numbers]).await.map_err(|e| self.error(e))?;
        let mut pages = Vec::with_capacity(rows.len());
        for row in rows {
            let block: i64 = row.try_get(0).map_err(|e| self.error(e))?;
            let page: Vec<u8> = row.try_get(1).map_err(|e| self.error(e))?;
            if let Ok(block) = u32::try_from(block) {
                pages.push((block, page));
            }
        }
        Ok(pages)
    }

    fn error(&self, error: tokio_postgres::Error) -> LivenessError {
        let role = self.role.clone();
        match error.code() {
            Some(code) if *code == SqlState::UNDEFINED_TABLE => LivenessError::Dropped,
            Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
                let is_policy = error.as_db_error().is_some_and(|e| e.message().contains("row-level security"));
                if is_policy { LivenessError::RowSecurity { role } } else { LivenessError::Permission { role } }
            }
            _ => LivenessError::Database(error),
        }
    }
}
