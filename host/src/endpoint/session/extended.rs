use std::io;

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{BindComplete, CloseComplete, ParseComplete, PortalSuspended};
use pgwire::messages::response::{EmptyQueryResponse, TransactionStatus};

use super::statements::{Portal, PortalState, Prepared};
use super::{Session, answer};
use crate::endpoint::commands::Command;
use crate::endpoint::sql::{ParameterKinds, Refused, code, decode, split};
use crate::endpoint::wire::{Bind, Described, Message, Parse};

impl Session {
    /// One message of the extended protocol. The inner error is the client's; it skips to the next Sync.
    pub(super) async fn extended(&mut self, message: Message) -> io::Result<Result<(), Refused>> {
        match message {
            Message::Parse(parse) => Ok(self.parse(parse)),
            Message::Bind(bind) => Ok(self.bind(bind)),
            Message::Describe(described) => Ok(self.describe(&described)),
            Message::Execute { portal, max_rows } => self.execute(&portal, max_rows).await,
            Message::Close(described) => {
                match described {
                    Described::Statement(name) => self.statements.forget(&name),
                    Described::Portal(name) => {
                        self.statements.portals.remove(&name);
                    }
                }
                self.wire.put(PgWireBackendMessage::CloseComplete(CloseComplete::new()));
                Ok(Ok(()))
            }
            Message::Flush => {
                self.wire.flush().await?;
                Ok(Ok(()))
            }
            _ => Ok(Ok(())),
        }
    }

    /// The end of a series of messages. Without a transaction, portals end here.
    pub(super) async fn sync(&mut self) -> io::Result<()> {
        if self.transaction == TransactionStatus::Idle {
            self.statements.portals.clear();
        }
        self.ready().await
    }

    fn parse(&mut self, parse: Parse) -> Result<(), Refused> {
        let mut statements = split(&parse.sql)?;
        if statements.len() > 1 {
            return Err(Refused::syntax("cannot insert multiple commands into a prepared statement"));
        }
        let mut parameters = ParameterKinds::told(&parse.types);
        let command = match statements.pop() {
            None => None,
            Some(tokens) => Some(Command::read(tokens, &mut parameters)?),
        };
        let columns = command.as_ref().map(|command| command.columns()).unwrap_or_default();
        // The unnamed statement, and what was bound to it, is replaced.
        if parse.name.is_empty() {
            self.statements.forget("");
        }
        let sql_bytes = parse.sql.len();
        self.statements
            .keep(parse.name, Prepared { command, columns, parameter_oids: parameters.oids(), sql_bytes })?;
        self.wire.put(PgWireBackendMessage::ParseComplete(ParseComplete::new()));
        Ok(())
    }

    fn bind(&mut self, bind: Bind) -> Result<(), Refused> {
        let statement = self.statements.statement(&bind.statement)?;
        if bind.parameters.len() != statement.parameter_oids.len() {
            let message = format!(
                "bind message supplies {} parameters, but prepared statement {:?} requires {}",
                bind.parameters.len(),
                bind.statement,
                statement.parameter_oids.len()
            );
            return Err(Refused::new(code::PROTOCOL, message));
        }
        let given = bind.parameters.iter().zip(&bind.binary).zip(&statement.parameter_oids);
        let parameters = given
            .map(|((bytes, binary), oid)| decode(*oid, *binary, bytes.as_deref()))
            .collect::<Result<Vec<_>, Refused>>()?;
        let columns = statement.columns.len();
        let binary = match bind.results.as_slice() {
            [] => vec![false; columns],
            [one] => vec![*one; columns],
            all if all.len() == columns => bind.results,
            all => {
                let message = format!("bind message has {} result formats but query has {columns} columns", all.len());
                return Err(Refused::new(code::PROTOCOL, message));
            }
        };
        self.statements.open(bind.portal, Portal { statement, parameters, binary, state: PortalState::Bound })?;
        self.wire.put(PgWireBackendMessage::BindComplete(BindComplete::new()));
        Ok(())
    }

    fn describe(&mut self, described: &Described) -> Result<(), Refused> {
        let (statement, binary) = match described {
            Described::Statement(name) => {
                let statement = self.statements.statement(name)?;
                let parameters = ParameterDescription::new(statement.parameter_oids.clone());
                self.wire.put(PgWireBackendMessage::ParameterDescription(parameters));
                let binary = vec![false; statement.columns.len()];
                (statement, binary)
            }
            Described::Portal(name) => {
                let portal = self.statements.portal(name)?;
                (portal.statement.clone(), portal.binary.clone())
            }
        };
        self.wire.put(match statement.columns.is_empty() {
            true => PgWireBackendMessage::NoData(NoData::new()),
            false => answer::description(&statement.columns, &binary),
        });
        Ok(())
    }

    async fn execute(&mut self, name: &str, max_rows: usize) -> io::Result<Result<(), Refused>> {
        // Taken out while the session works with it, and put back with what is left.
        let Some(mut portal) = self.statements.portals.remove(name) else {
            return Ok(self.statements.portal(name).map(drop));
        };
        let Some(command) = &portal.statement.command else {
            self.wire.put(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()));
            self.statements.portals.insert(name.to_owned(), portal);
            return Ok(Ok(()));
        };
        if let PortalState::Bound = portal.state {
            let answer = match self.carry_out(command, &portal.parameters).await {
                Ok(answer) => answer,
                Err(refused) => return Ok(Err(refused)),
            };
            for (name, value) in &answer.told {
                self.wire.tell(name, value);
            }
            portal.state = PortalState::Rows { rows: answer.rows.into_iter(), tag: answer.tag };
        }
        let columns = &portal.statement.columns;
        let mut sent = 0;
        match &mut portal.state {
            PortalState::Rows { rows, tag } => {
                let most = if max_rows == 0 { usize::MAX } else { max_rows };
                for row in rows.take(most) {
                    sent += 1;
                    self.wire.feed(answer::data_row(columns, &portal.binary, &row)).await?;
                }
                let tag = *tag;
                // As in PostgreSQL, a portal is suspended when the limit is reached, even where nothing is left.
                if sent == most {
                    self.wire.put(PgWireBackendMessage::PortalSuspended(PortalSuspended::new()));
                } else {
                    self.wire.feed(answer::complete(tag, sent)).await?;
                    portal.state = PortalState::Done { tag };
                }
            }
            PortalState::Done { tag } => self.wire.put(answer::complete(tag, 0)),
            PortalState::Bound => {}
        }
        self.statements.portals.insert(name.to_owned(), portal);
        Ok(Ok(()))
    }
}
