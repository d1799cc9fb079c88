use std::io;

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{EmptyQueryResponse, TransactionStatus};

use super::{Session, answer};
use crate::endpoint::commands::Command;
use crate::endpoint::sql::{ParameterKinds, Refused, Tokens, split};

impl Session {
    /// The simple protocol: one statement or several, text in and out. The first error ends it.
    pub(super) async fn simple(&mut self, sql: &str) -> io::Result<()> {
        match split(sql) {
            Err(refused) => self.fail(&refused),
            Ok(statements) if statements.is_empty() => {
                self.wire.put(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()));
            }
            Ok(statements) => {
                for tokens in statements {
                    if let Err(refused) = self.simple_statement(tokens).await? {
                        self.fail(&refused);
                        break;
                    }
                }
            }
        }
        if self.transaction == TransactionStatus::Idle {
            self.statements.portals.clear();
        }
        self.ready().await
    }

    async fn simple_statement(&mut self, tokens: Tokens) -> io::Result<Result<(), Refused>> {
        let mut parameters = ParameterKinds::default();
        let read = Command::read(tokens, &mut parameters).and_then(|command| match parameters.len() {
            0 => Ok(command),
            _ => Err(Refused::new("42P02", "a simple query has no parameters")),
        });
        let command = match read {
            Ok(command) => command,
            Err(refused) => return Ok(Err(refused)),
        };
        let answer = match self.carry_out(&command, &[]).await {
            Ok(answer) => answer,
            Err(refused) => return Ok(Err(refused)),
        };
        let columns = command.columns();
        let binary = vec![false; columns.len()];
        if !columns.is_empty() {
            self.wire.feed(answer::description(&columns, &binary)).await?;
        }
        let rows = answer.rows.len();
        for row in &answer.rows {
            self.wire.feed(answer::data_row(&columns, &binary, row)).await?;
        }
        for (name, value) in &answer.told {
            self.wire.tell(name, value);
        }
        self.wire.feed(answer::complete(answer.tag, rows)).await?;
        Ok(Ok(()))
    }
}
