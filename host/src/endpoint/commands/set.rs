use sqlparser::tokenizer::Token;

use super::Answer;
use super::show::require;
use crate::endpoint::context::Context;
use crate::endpoint::settings;
use crate::endpoint::sql::{Refused, Tokens, unexpected};

/// `SET [SESSION | LOCAL] name = value`, with the forms that the standard has for some.
pub(in crate::endpoint) enum Set {
    Setting {
        name: String,
        /// None: DEFAULT.
        value: Option<String>,
        is_local: bool,
    },
    /// `SET TRANSACTION ...`, `SET SESSION CHARACTERISTICS ...`: there is nothing that could be isolated.
    Transaction,
}

impl Set {
    pub(super) fn read(tokens: &mut Tokens) -> Result<Set, Refused> {
        tokens.take_word("set");
        if tokens.take_word("transaction") {
            return Ok(Set::Transaction);
        }
        let is_local = tokens.take_word("local");
        if !is_local && tokens.take_word("session") {
            if tokens.take_word("characteristics") {
                require(tokens, &["as", "transaction"])?;
                return Ok(Set::Transaction);
            }
            if tokens.peek_word().as_deref() == Some("authorization") {
                return Err(Refused::unsupported("SET SESSION AUTHORIZATION"));
            }
        }
        if tokens.peek_word().as_deref() == Some("role") {
            return Err(Refused::unsupported("SET ROLE").with_hint("Log in as another user."));
        }
        let name = if tokens.take_word("time") {
            require(tokens, &["zone"])?;
            return Set::value("timezone".to_owned(), is_local, tokens);
        } else if tokens.take_word("names") {
            return Set::value("client_encoding".to_owned(), is_local, tokens);
        } else {
            tokens.dotted()?
        };
        if !tokens.take(&Token::Eq) && !tokens.take_word("to") {
            return Err(unexpected(tokens.next()));
        }
        Set::value(name, is_local, tokens)
    }

    /// The values after the name: one, or several with commas.
    fn value(name: String, is_local: bool, tokens: &mut Tokens) -> Result<Set, Refused> {
        if tokens.take_word("default") {
            tokens.end()?;
            return Ok(Set::Setting { name, value: None, is_local });
        }
        let mut values = vec![single(tokens)?];
        while tokens.take(&Token::Comma) {
            values.push(single(tokens)?);
        }
        tokens.end()?;
        Ok(Set::Setting { name, value: Some(values.join(", ")), is_local })
    }

    pub(super) async fn run(&self, context: &Context) -> Result<Answer, Refused> {
        let told = match self {
            Set::Transaction => None,
            Set::Setting { name, value, is_local } => settings::set(context, name, value.as_deref(), *is_local).await?,
        };
        Ok(Answer { told: told.into_iter().collect(), ..Answer::done("SET") })
    }
}

fn single(tokens: &mut Tokens) -> Result<String, Refused> {
    let sign = if tokens.take(&Token::Minus) { "-" } else { "" };
    match tokens.next() {
        Some(Token::Number(digits, _)) => Ok(format!("{sign}{digits}")),
        Some(token) if !sign.is_empty() => Err(unexpected(Some(token))),
        Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => Ok(text),
        Some(Token::Word(word)) => Ok(word.value),
        other => Err(unexpected(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::sql::split;

    fn check(sql: &str, expected: Option<(&str, Option<&str>)>) {
        let set = Set::read(&mut split(sql).unwrap().remove(0));
        match (set, expected) {
            (Ok(Set::Setting { name, value, .. }), Some(expected)) => {
                assert_eq!((name.as_str(), value.as_deref()), expected);
            }
            (Ok(Set::Transaction), Some(("transaction", None))) => {}
            (Err(refused), None) => assert!(["42601", "0A000"].contains(&refused.code), "{refused:?}"),
            (_, expected) => panic!("{sql}: not {expected:?}"),
        }
    }

    #[test]
    fn all_forms_are_read() {
        check("SET ruvector.dag_healing_enabled = on", Some(("ruvector.dag_healing_enabled", Some("on"))));
        check(
            "set SESSION Ruvector.Dag_Healing_Threshold TO 0.3",
            Some(("ruvector.dag_healing_threshold", Some("0.3"))),
        );
        check("SET extra_float_digits = -1", Some(("extra_float_digits", Some("-1"))));
        check("SET TIME ZONE 'UTC'", Some(("timezone", Some("UTC"))));
        check("SET NAMES 'utf8'", Some(("client_encoding", Some("utf8"))));
        check("SET search_path TO a, \"B\"", Some(("search_path", Some("a, B"))));
        check("SET x TO DEFAULT", Some(("x", None)));
        check("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", Some(("transaction", None)));
        check("SET ROLE admin", None);
        check("SET x = ", None);
        check("SET x = 1 2", None);
        check("SET", None);
    }
}
