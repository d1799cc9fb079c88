//! The statements that are understood, one a file: read, described, carried out.

mod deallocate;
mod discard;
mod reset;
mod select;
mod set;
mod show;
mod transaction;

pub(super) use deallocate::Deallocate;
pub(super) use discard::Discard;
pub(super) use transaction::Transaction;

use reset::Reset;
use select::Select;
use set::Set;
use show::Show;

use super::context::Context;
use super::sql::{Column, ParameterKinds, Refused, Row, Tokens, Value, code, parse_query};
use super::views;

/// A statement, ready to be carried out.
pub(super) enum Command {
    Select(Box<Select>),
    Show(Show),
    Set(Set),
    Reset(Reset),
    /// What follows changes the session itself, which carries it out.
    Transaction(Transaction),
    Discard(Discard),
    Deallocate(Deallocate),
}

/// What came of it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Answer {
    pub rows: Vec<Row>,
    /// The command's tag, without a count of rows.
    pub tag: &'static str,
    /// Settings that the client has to be told.
    pub told: Vec<(&'static str, String)>,
}

impl Answer {
    pub(super) fn done(tag: &'static str) -> Answer {
        Answer { tag, ..Answer::default() }
    }
}

impl Command {
    /// Reads a statement; `parameters` tells and learns the types of its parameters.
    ///
    /// # Errors
    /// It is wrong, or not supported.
    pub(super) fn read(mut tokens: Tokens, parameters: &mut ParameterKinds) -> Result<Command, Refused> {
        let first = tokens.peek_word().unwrap_or_default();
        match first.as_str() {
            "show" => Ok(Command::Show(Show::read(&mut tokens)?)),
            "set" => Ok(Command::Set(Set::read(&mut tokens)?)),
            "reset" => Ok(Command::Reset(Reset::read(&mut tokens)?)),
            "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" => {
                Ok(Command::Transaction(Transaction::read(&mut tokens)?))
            }
            "discard" => Ok(Command::Discard(Discard::read(&mut tokens)?)),
            "deallocate" => Ok(Command::Deallocate(Deallocate::read(&mut tokens)?)),
            "select" | "table" => {
                let is_about_catalog =
                    tokens.mentions(&["pg_catalog", "pg_class", "pg_type", "pg_proc", "pg_attribute"]);
                let select = parse_query(tokens).and_then(|query| Select::plan(query, parameters));
                select.map(|select| Command::Select(Box::new(select))).map_err(|refused| match is_about_catalog {
                    true => no_catalog(refused),
                    false => refused,
                })
            }
            "with" | "values" | "insert" | "update" | "delete" | "merge" | "create" | "alter" | "drop" | "truncate"
            | "copy" | "explain" | "analyze" | "vacuum" | "grant" | "revoke" | "listen" | "notify" | "unlisten"
            | "declare" | "fetch" | "close" | "prepare" | "execute" | "do" | "call" | "lock" | "comment"
            | "reindex" | "cluster" | "checkpoint" | "load" | "import" | "security" | "refresh" | "move" => {
                Err(Refused::unsupported(first.to_uppercase()).with_hint(views::hint()))
            }
            _ => Err(super::sql::unexpected(tokens.next())),
        }
    }

    /// The columns of its answer; none where it answers no rows.
    pub(super) fn columns(&self) -> Vec<Column> {
        match self {
            Command::Select(select) => select.columns().to_vec(),
            Command::Show(show) => show.columns(),
            _ => Vec::new(),
        }
    }

    /// Whether it is still carried out after an error in a transaction.
    pub(super) fn ends_transaction(&self) -> bool {
        matches!(self, Command::Transaction(transaction) if transaction.heals())
    }

    /// Carries it out.
    ///
    /// # Errors
    /// Whatever it asks refuses.
    pub(super) async fn run(&self, context: &Context, parameters: &[Value]) -> Result<Answer, Refused> {
        match self {
            Command::Select(select) => select.run(context, parameters).await,
            Command::Show(show) => show.run(context),
            Command::Set(set) => set.run(context).await,
            Command::Reset(reset) => reset.run(context).await,
            Command::Transaction(_) | Command::Discard(_) | Command::Deallocate(_) => {
                Err(Refused::new("XX000", "the session carries this out"))
            }
        }
    }
}

/// psql's `\d`, and whatever else looks into catalogs, gets to know where it is.
fn no_catalog(refused: Refused) -> Refused {
    // What is unknown is a column, a function, or a type such as regproc.
    if ![code::UNSUPPORTED, code::UNKNOWN_COLUMN, code::UNKNOWN_FUNCTION, code::UNKNOWN_OBJECT].contains(&refused.code)
    {
        return refused;
    }
    let message = format!("this is pgheal, which has no catalog to look into ({})", refused.message);
    Refused::new(code::UNSUPPORTED, message).with_hint(views::hint())
}
