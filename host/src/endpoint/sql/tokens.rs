use sqlparser::ast::Statement;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Tokenizer};

use super::{Refused, code};

/// No statement for this endpoint is longer; drivers' probing statements included.
const LONGEST_STATEMENT_BYTES: usize = 64 << 10;
/// Bounds how deep the parser's tree can get where it does not count: in a long chain of operators.
const MOST_TOKENS: usize = 2_000;

/// The tokens of one statement, without blanks and comments.
#[derive(Clone, Debug)]
pub struct Tokens {
    tokens: Vec<Token>,
    next: usize,
}

/// Splits a query string into its statements; empty ones are left out.
///
/// # Errors
/// It is too long, or a quote or comment has no end.
pub fn split(sql: &str) -> Result<Vec<Tokens>, Refused> {
    if sql.len() > LONGEST_STATEMENT_BYTES {
        return Err(Refused::new(
            code::LIMIT,
            format!("a query of {} bytes was refused; at most {LONGEST_STATEMENT_BYTES} are allowed", sql.len()),
        ));
    }
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql)
        .tokenize()
        .map_err(|error| Refused::syntax(format!("syntax error: {error}")))?;
    if tokens.len() > 2 * MOST_TOKENS {
        return Err(Refused::new(code::TOO_COMPLEX, "the query is too complex"));
    }
    let mut statements = Vec::new();
    for part in tokens.split(|token| *token == Token::SemiColon) {
        let tokens: Vec<Token> =
            part.iter().filter(|token| !matches!(token, Token::Whitespace(_) | Token::EOF)).cloned().collect();
        if tokens.len() > MOST_TOKENS {
            return Err(Refused::new(code::TOO_COMPLEX, "the statement is too complex"));
        }
        if !tokens.is_empty() {
            statements.push(Tokens { tokens, next: 0 });
        }
    }
    Ok(statements)
}

/// Parses a statement as PostgreSQL would.
///
/// # Errors
/// It is none, or is nested too deeply.
pub fn parse_query(tokens: Tokens) -> Result<Statement, Refused> {
    let refused = |error: ParserError| match error {
        ParserError::RecursionLimitExceeded => Refused::new(code::TOO_COMPLEX, "the statement is nested too deeply"),
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
            Refused::syntax(format!("syntax error: {message}"))
        }
    };
    let mut parser = Parser::new(&PostgreSqlDialect {}).with_tokens(tokens.tokens);
    let statement = parser.parse_statement().map_err(refused)?;
    match parser.peek_token().token {
        Token::EOF => Ok(statement),
        rest => Err(Refused::syntax(format!("syntax error at or near \"{rest}\""))),
    }
}

impl Tokens {
    /// The next word in lower case, if it is one that is not quoted.
    pub fn peek_word(&self) -> Option<String> {
        match self.tokens.get(self.next) {
            Some(Token::Word(word)) if word.quote_style.is_none() => Some(word.value.to_ascii_lowercase()),
            _ => None,
        }
    }

    /// Takes the next word where it is this one.
    pub fn take_word(&mut self, word: &str) -> bool {
        let is_it = self.peek_word().as_deref() == Some(word);
        self.next += usize::from(is_it);
        is_it
    }

    pub fn take(&mut self, token: &Token) -> bool {
        let is_it = self.tokens.get(self.next) == Some(token);
        self.next += usize::from(is_it);
        is_it
    }

    pub fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.next).cloned();
        self.next += usize::from(token.is_some());
        token
    }

    /// An identifier: lower case unless quoted.
    ///
    /// # Errors
    /// Something else stands there.
    pub fn identifier(&mut self) -> Result<String, Refused> {
        match self.next() {
            Some(Token::Word(word)) if word.quote_style.is_some() => Ok(word.value),
            Some(Token::Word(word)) => Ok(word.value.to_lowercase()),
            other => Err(unexpected(other)),
        }
    }

    /// The name of a setting: identifiers with dots between.
    ///
    /// # Errors
    /// Something else stands there.
    pub fn dotted(&mut self) -> Result<String, Refused> {
        let mut name = self.identifier()?;
        while self.take(&Token::Period) {
            name = format!("{name}.{}", self.identifier()?);
        }
        Ok(name.to_lowercase())
    }

    /// # Errors
    /// Something is left.
    pub fn end(&mut self) -> Result<(), Refused> {
        match self.next() {
            None => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Whether one of these words stands anywhere in the statement.
    pub fn mentions(&self, words: &[&str]) -> bool {
        self.tokens.iter().any(
            |token| matches!(token, Token::Word(word) if words.contains(&word.value.to_ascii_lowercase().as_str())),
        )
    }
}

/// The error for a token that is in the way; None stands for the statement's end.
pub(in crate::endpoint) fn unexpected(token: Option<Token>) -> Refused {
    match token {
        None => Refused::syntax("syntax error at end of input"),
        Some(token) => Refused::syntax(format!("syntax error at or near \"{token}\"")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(sql: &str, expected: Result<usize, &str>) {
        match (split(sql), expected) {
            (Ok(found), Ok(count)) => assert_eq!(found.len(), count, "{sql}"),
            (Err(error), Err(code)) => assert_eq!(error.code, code, "{error}"),
            (found, expected) => panic!("{sql}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn statements_are_split_where_they_end() {
        check("", Ok(0));
        check(" ; ;; -- nothing", Ok(0));
        check("SELECT ';' ; SELECT 2 /* ; */", Ok(2));
        check("SELECT 'open", Err("42601"));
        check(&"x".repeat(70_000), Err("54000"));
        check(&"(".repeat(10_000), Err("54001"));
        check(&",".repeat(3_000), Err("54001"));
    }

    #[test]
    fn a_parsed_statement_uses_all_its_tokens() {
        let parse = |sql: &str| parse_query(split(sql).unwrap().remove(0)).map(|statement| statement.to_string());
        assert_eq!(parse("select 1").as_deref(), Ok("SELECT 1"));
        assert_eq!(parse("select 1 from t x y").unwrap_err().code, "42601");
        assert_eq!(parse(&format!("select {}1{}", "(".repeat(500), ")".repeat(500))).unwrap_err().code, "54001");
    }

    proptest! {
        #[test]
        fn any_text_is_statements_or_an_error(sql: String) {
            for tokens in split(&sql).unwrap_or_default() {
                let _ = parse_query(tokens);
            }
        }
    }
}
