use std::collections::HashMap;
use std::sync::Arc;

use crate::endpoint::commands::{Answer, Command, Deallocate};
use crate::endpoint::sql::{Column, Refused, Row, Value, code};

/// What a session may keep prepared: enough for every driver's cache, and for no flood.
const MOST_STATEMENTS: usize = 512;
const MOST_SQL_BYTES: usize = 1 << 20;
/// Each may hold an answer.
const MOST_PORTALS: usize = 16;

/// A prepared statement.
pub(super) struct Prepared {
    /// None: there is nothing in it.
    pub command: Option<Command>,
    pub columns: Vec<Column>,
    pub parameter_oids: Vec<u32>,
    pub sql_bytes: usize,
}

/// A statement with its parameters.
pub(super) struct Portal {
    pub statement: Arc<Prepared>,
    pub parameters: Vec<Value>,
    /// Per column: whether it is answered in binary.
    pub binary: Vec<bool>,
    pub state: PortalState,
}

pub(super) enum PortalState {
    Bound,
    Rows { rows: std::vec::IntoIter<Row>, tag: &'static str },
    Done { tag: &'static str },
}

/// By name; the unnamed one is "".
#[derive(Default)]
pub(super) struct Statements {
    prepared: HashMap<String, Arc<Prepared>>,
    pub portals: HashMap<String, Portal>,
}

impl Statements {
    /// Keeps a statement. A named one must be new.
    ///
    /// # Errors
    /// The name is taken, or there are too many.
    pub(super) fn keep(&mut self, name: String, statement: Prepared) -> Result<(), Refused> {
        if !name.is_empty() && self.prepared.contains_key(&name) {
            let message = format!("prepared statement {name:?} already exists");
            return Err(Refused::new(code::DUPLICATE_STATEMENT, message));
        }
        let bytes: usize = self.prepared.values().map(|statement| statement.sql_bytes).sum();
        if self.prepared.len() >= MOST_STATEMENTS || bytes + statement.sql_bytes > MOST_SQL_BYTES {
            return Err(Refused::new(code::LIMIT, "too many prepared statements").with_hint("DEALLOCATE some."));
        }
        self.prepared.insert(name, Arc::new(statement));
        Ok(())
    }

    pub(super) fn statement(&self, name: &str) -> Result<Arc<Prepared>, Refused> {
        self.prepared
            .get(name)
            .cloned()
            .ok_or_else(|| Refused::new(code::UNKNOWN_STATEMENT, format!("prepared statement {name:?} does not exist")))
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.prepared.remove(name);
    }

    /// # Errors
    /// The name is taken, or there are too many.
    pub(super) fn open(&mut self, name: String, portal: Portal) -> Result<(), Refused> {
        if !name.is_empty() && self.portals.contains_key(&name) {
            return Err(Refused::new("42P03", format!("cursor {name:?} already exists")));
        }
        if self.portals.len() >= MOST_PORTALS && !self.portals.contains_key(&name) {
            return Err(Refused::new(code::LIMIT, "too many open portals"));
        }
        self.portals.insert(name, portal);
        Ok(())
    }

    pub(super) fn portal(&mut self, name: &str) -> Result<&mut Portal, Refused> {
        self.portals
            .get_mut(name)
            .ok_or_else(|| Refused::new(code::UNKNOWN_PORTAL, format!("portal {name:?} does not exist")))
    }

    pub(super) fn deallocate(&mut self, what: &Deallocate) -> Result<Answer, Refused> {
        match what {
            Deallocate::All => self.prepared.clear(),
            Deallocate::One(name) => {
                self.statement(name)?;
                self.forget(name);
            }
        }
        Ok(Answer::done(what.tag()))
    }

    pub(super) fn clear(&mut self) {
        self.prepared.clear();
        self.portals.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(sql_bytes: usize) -> Prepared {
        Prepared { command: None, columns: Vec::new(), parameter_oids: Vec::new(), sql_bytes }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let check = |names: std::ops::Range<usize>, bytes: usize, expected: usize| {
            let mut statements = Statements::default();
            let kept = names.filter(|n| statements.keep(format!("s{n}"), prepared(bytes)).is_ok()).count();
            assert_eq!(kept, expected);
        };
        check(0..1_000, 10, MOST_STATEMENTS);
        check(0..1_000, 1 << 18, 4);
        let mut statements = Statements::default();
        for _ in 0..3 {
            statements.keep(String::new(), prepared(1)).unwrap();
        }
        statements.keep("s".to_owned(), prepared(1)).unwrap();
        assert_eq!(statements.keep("s".to_owned(), prepared(1)).unwrap_err().code, "42P05");
    }
}
