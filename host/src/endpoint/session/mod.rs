//! A client that is logged in: its statements, one after the other.

mod answer;
mod cancel;
mod extended;
mod simple;
mod statements;
mod transaction;
mod wire;

pub(super) use cancel::{Cancels, Registered};
pub(super) use wire::{Wire, error_response};

use std::io;
use std::sync::Arc;
use std::time::Duration;

use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::{ReadyForQuery, TransactionStatus};
use tokio::sync::watch;

use super::commands::{Answer, Command};
use super::context::Context;
use super::login::Place;
use super::sql::{Refused, Value, code};
use super::wire::{Message, ReadError};
use statements::Statements;

/// No statement takes longer: whatever it asks for is asked for by then, or known not to come.
const STATEMENT_DEADLINE: Duration = Duration::from_secs(60);

pub(super) struct Session {
    wire: Wire,
    context: Context,
    cancel: Registered,
    idle_timeout: Duration,
    max_message_bytes: usize,
    /// Given back when the session ends.
    _place: Place,
    transaction: TransactionStatus,
    statements: Statements,
}

/// How a session ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The client said so, or hung up.
    Left,
    /// It was told why.
    Refused(Refused),
    Lost(io::Error),
}

impl Session {
    pub(super) fn new(
        wire: Wire,
        context: Context,
        cancel: Registered,
        place: Place,
        idle_timeout: Duration,
        max_message_bytes: usize,
    ) -> Session {
        Session {
            wire,
            context,
            cancel,
            idle_timeout,
            max_message_bytes,
            _place: place,
            transaction: TransactionStatus::Idle,
            statements: Statements::default(),
        }
    }

    /// Serves until the client leaves, breaks the protocol, idles for too long, or the endpoint stops.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Ended {
        let refused = match self.serve(&mut stop).await {
            Ok(None) => return Ended::Left,
            Ok(Some(refused)) => refused,
            Err(error) => return Ended::Lost(error),
        };
        self.wire.put(error_response("FATAL", &refused));
        self.wire.close().await;
        Ended::Refused(refused)
    }

    /// None where the client left; Some where it has to go, and why.
    async fn serve(&mut self, stop: &mut watch::Receiver<bool>) -> io::Result<Option<Refused>> {
        self.ready().await?;
        let mut skips_to_sync = false;
        loop {
            let read = tokio::select! {
                biased;
                _ = stop.wait_for(|stops| *stops) => {
                    return Ok(Some(Refused::new(code::SHUTDOWN, "pgheal stops")));
                }
                read = tokio::time::timeout(self.idle_timeout, self.wire.next(self.max_message_bytes)) => read,
            };
            let message = match read {
                Err(_) => {
                    return Ok(Some(Refused::new(code::IDLE, "terminating connection due to idle-session timeout")));
                }
                Ok(Ok(None | Some(Message::Terminate))) => return Ok(None),
                Ok(Ok(Some(message))) => message,
                Ok(Err(ReadError::Io(error))) => return Err(error),
                Ok(Err(error @ ReadError::TooLarge { .. })) => {
                    return Ok(Some(Refused::new(code::LIMIT, error.to_string())));
                }
                Ok(Err(ReadError::Malformed(error))) => {
                    return Ok(Some(Refused::new(code::PROTOCOL, error.to_string())));
                }
            };
            match message {
                Message::Sync => {
                    skips_to_sync = false;
                    self.sync().await?;
                }
                message if skips_to_sync && message.is_extended() => {}
                Message::Query(sql) => {
                    skips_to_sync = false;
                    self.simple(&sql).await?;
                }
                Message::Password(_) => {
                    return Ok(Some(Refused::new(code::PROTOCOL, "the log-in is over")));
                }
                Message::Ignored | Message::Terminate => {}
                message => {
                    if let Err(refused) = self.extended(message).await? {
                        self.fail(&refused);
                        self.wire.flush().await?;
                        skips_to_sync = true;
                    }
                }
            }
        }
    }

    /// Carries a statement out: until it is done, somebody cancels it, or it takes too long.
    async fn carry_out(&mut self, command: &Command, parameters: &[Value]) -> Result<Answer, Refused> {
        if self.transaction == TransactionStatus::Error && !command.ends_transaction() {
            return Err(Refused::new(
                code::FAILED_TRANSACTION,
                "current transaction is aborted, commands ignored until end of transaction block",
            ));
        }
        match command {
            Command::Transaction(transaction) => return self.transact(*transaction),
            Command::Discard(discard) => return self.discard(*discard),
            Command::Deallocate(deallocate) => return self.statements.deallocate(deallocate),
            _ => {}
        }
        let canceled = Arc::clone(&self.cancel.asked);
        tokio::select! {
            answer = command.run(&self.context, parameters) => answer,
            () = canceled.notified() => {
                Err(Refused::new(code::CANCELED, "canceling statement due to user request"))
            }
            () = tokio::time::sleep(STATEMENT_DEADLINE) => {
                Err(Refused::new(code::CANCELED, "canceling statement due to statement timeout"))
            }
        }
    }

    fn fail(&mut self, refused: &Refused) {
        if self.transaction == TransactionStatus::Transaction {
            self.transaction = TransactionStatus::Error;
        }
        tracing::debug!(user = self.context.session.user, code = refused.code, "refused: {refused}");
        self.wire.put(error_response("ERROR", refused));
    }

    async fn ready(&mut self) -> io::Result<()> {
        self.wire.put(PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(self.transaction)));
        self.wire.flush().await
    }
}
