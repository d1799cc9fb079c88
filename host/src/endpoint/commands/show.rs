use super::Answer;
use crate::endpoint::context::Context;
use crate::endpoint::settings;
use crate::endpoint::sql::{Column, Kind, Refused, Tokens, Value, column};

/// `SHOW name` and `SHOW ALL`.
pub(in crate::endpoint) enum Show {
    One(String),
    All,
}

impl Show {
    pub(super) fn read(tokens: &mut Tokens) -> Result<Show, Refused> {
        tokens.take_word("show");
        // Two settings have names of their own in the standard.
        let show = if tokens.take_word("all") {
            Show::All
        } else if tokens.take_word("time") {
            require(tokens, &["zone"])?;
            Show::One("TimeZone".to_owned())
        } else if tokens.take_word("transaction") {
            require(tokens, &["isolation", "level"])?;
            Show::One("transaction_isolation".to_owned())
        } else {
            Show::One(tokens.dotted()?)
        };
        tokens.end()?;
        Ok(show)
    }

    pub(super) fn columns(&self) -> Vec<Column> {
        match self {
            Show::One(name) => vec![column(name, Kind::Text)],
            Show::All => vec![column("name", Kind::Text), column("setting", Kind::Text)],
        }
    }

    pub(super) fn run(&self, context: &Context) -> Result<Answer, Refused> {
        let rows = match self {
            Show::One(name) => vec![vec![Value::Text(settings::show(context, name)?)]],
            Show::All => {
                let mut all: Vec<(String, String)> =
                    context.session.client.all().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                if let Ok(target) = context.target() {
                    let healing = context.engine.settings(&target, &context.settings)?;
                    all.extend(healing.into_iter().map(|setting| (setting.name.to_owned(), setting.value)));
                }
                all.into_iter().map(|(name, value)| vec![Value::Text(name), Value::Text(value)]).collect()
            }
        };
        Ok(Answer { rows, ..Answer::done("SHOW") })
    }
}

pub(super) fn require(tokens: &mut Tokens, words: &[&str]) -> Result<(), Refused> {
    for word in words {
        if !tokens.take_word(word) {
            return Err(crate::endpoint::sql::unexpected(tokens.next()));
        }
    }
    Ok(())
}
