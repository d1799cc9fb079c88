use bytes::{Buf, Bytes};

/// A message of a client that is logged in, or about to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Log-in: what SCRAM sends.
    Password(Bytes),
    /// A simple query.
    Query(String),
    Parse(Parse),
    Bind(Bind),
    Describe(Described),
    Execute {
        portal: String,
        /// 0: all.
        max_rows: usize,
    },
    Close(Described),
    Flush,
    Sync,
    Terminate,
    /// COPY data that nobody asked for; PostgreSQL ignores it, too.
    Ignored,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parse {
    /// Empty: the unnamed statement.
    pub name: String,
    pub sql: String,
    /// Type OIDs of the parameters; 0 where the server shall find out.
    pub types: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    pub portal: String,
    pub statement: String,
    /// Per parameter: whether it is binary.
    pub binary: Vec<bool>,
    /// None: NULL.
    pub parameters: Vec<Option<Bytes>>,
    /// Result formats: none (text), one for all, or one a column.
    pub results: Vec<bool>,
}

/// A statement or a portal, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Described {
    Statement(String),
    Portal(String),
}

/// A message that does not keep to the protocol; the session cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("unknown message type {0:#04x}")]
    Type(u8),
    #[error("message of type {0:?} is shorter than it says, or longer")]
    Body(char),
    #[error("message of type {0:?} holds text that is not UTF-8")]
    Text(char),
    #[error("the protocol's function call is not supported")]
    FunctionCall,
}

impl Message {
    /// Reads a message's body; all of it must be used.
    ///
    /// # Errors
    /// Anything else than a well-formed message.
    pub fn read(kind: u8, body: Bytes) -> Result<Message, Malformed> {
        let mut body = Body { kind: kind as char, rest: body };
        let message = match kind {
            b'p' => return Ok(Message::Password(body.rest)),
            b'd' | b'c' | b'f' => return Ok(Message::Ignored),
            b'F' => return Err(Malformed::FunctionCall),
            b'Q' => Message::Query(body.text()?),
            b'P' => Message::Parse(body.parse()?),
            b'B' => Message::Bind(body.bind()?),
            b'D' => Message::Describe(body.described()?),
            b'C' => Message::Close(body.described()?),
            b'E' => {
                let portal = body.text()?;
                // Negative numbers mean all, as in PostgreSQL.
                let max_rows = usize::try_from(body.u32()?.cast_signed()).unwrap_or(0);
                Message::Execute { portal, max_rows }
            }
            b'H' => Message::Flush,
            b'S' => Message::Sync,
            b'X' => Message::Terminate,
            other => return Err(Malformed::Type(other)),
        };
        if body.rest.is_empty() { Ok(message) } else { Err(Malformed::Body(kind as char)) }
    }

    /// Whether an error in it makes the session skip everything up to the next Sync.
    pub fn is_extended(&self) -> bool {
        !matches!(self, Message::Query(_) | Message::Password(_) | Message::Terminate | Message::Ignored)
    }
}

struct Body {
    kind: char,
    rest: Bytes,
}

impl Body {
    fn u8(&mut self) -> Result<u8, Malformed> {
        self.rest.try_get_u8().map_err(|_| Malformed::Body(self.kind))
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.rest.try_get_u16().map_err(|_| Malformed::Body(self.kind))
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.rest.try_get_u32().map_err(|_| Malformed::Body(self.kind))
    }

    /// Up to a zero byte.
    fn text(&mut self) -> Result<String, Malformed> {
        let end = self.rest.iter().position(|&byte| byte == 0).ok_or(Malformed::Body(self.kind))?;
        let text = self.rest.split_to(end);
        self.rest.advance(1);
        String::from_utf8(text.to_vec()).map_err(|_| Malformed::Text(self.kind))
    }

    fn bytes(&mut self, length: usize) -> Result<Bytes, Malformed> {
        if length > self.rest.len() {
            return Err(Malformed::Body(self.kind));
        }
        Ok(self.rest.split_to(length))
    }

    /// A count and as many items of at least `least` bytes: a count that cannot be is refused before it allocates.
    fn list<T>(&mut self, least: usize, item: impl Fn(&mut Body) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        let count = usize::from(self.u16()?);
        if count * least > self.rest.len() {
            return Err(Malformed::Body(self.kind));
        }
        (0..count).map(|_| item(self)).collect()
    }

    fn format(&mut self) -> Result<bool, Malformed> {
        match self.u16()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed::Body(self.kind)),
        }
    }

    fn described(&mut self) -> Result<Described, Malformed> {
        match self.u8()? {
            b'S' => Ok(Described::Statement(self.text()?)),
            b'P' => Ok(Described::Portal(self.text()?)),
            _ => Err(Malformed::Body(self.kind)),
        }
    }

    fn parse(&mut self) -> Result<Parse, Malformed> {
        let (name, sql) = (self.text()?, self.text()?);
        let types = self.list(4, Body::u32)?;
        Ok(Parse { name, sql, types })
    }

    fn bind(&mut self) -> Result<Bind, Malformed> {
        let (portal, statement) = (self.text()?, self.text()?);
        let formats = self.list(2, Body::format)?;
        let parameters = self.list(4, |body| match body.u32()?.cast_signed() {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| Malformed::Body(body.kind))?;
                Ok(Some(body.bytes(length)?))
            }
        })?;
        let results = self.list(2, Body::format)?;
        let binary = match formats.as_slice() {
            [] => vec![false; parameters.len()],
            [one] => vec![*one; parameters.len()],
            all if all.len() == parameters.len() => formats,
            _ => return Err(Malformed::Body(self.kind)),
        };
        Ok(Bind { portal, statement, binary, parameters, results })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(kind: u8, body: &[u8], expected: Result<Message, Malformed>) {
        assert_eq!(Message::read(kind, Bytes::copy_from_slice(body)), expected);
    }

    #[test]
    fn messages_are_read() {
        check(b'Q', b"SELECT 1\0", Ok(Message::Query("SELECT 1".to_owned())));
        check(
            b'P',
            b"s\0SELECT $1\0\0\x01\0\0\0\x19",
            Ok(Message::Parse(Parse { name: "s".to_owned(), sql: "SELECT $1".to_owned(), types: vec![25] })),
        );
        check(
            b'B',
            b"\0s\0\0\x01\0\x01\0\x02\0\0\0\x02hi\xff\xff\xff\xff\0\x01\0\x01",
            Ok(Message::Bind(Bind {
                portal: String::new(),
                statement: "s".to_owned(),
                binary: vec![true, true],
                parameters: vec![Some(Bytes::from_static(b"hi")), None],
                results: vec![true],
            })),
        );
        check(b'E', b"p\0\0\0\0\x05", Ok(Message::Execute { portal: "p".to_owned(), max_rows: 5 }));
        check(b'E', b"p\0\xff\xff\xff\xff", Ok(Message::Execute { portal: "p".to_owned(), max_rows: 0 }));
        check(b'D', b"Ss\0", Ok(Message::Describe(Described::Statement("s".to_owned()))));
        check(b'S', b"", Ok(Message::Sync));
    }

    #[test]
    fn what_breaks_the_protocol_is_refused() {
        check(b'Q', b"SELECT 1", Err(Malformed::Body('Q')));
        check(b'Q', b"SELECT 1\0more", Err(Malformed::Body('Q')));
        check(b'Q', b"\xff\0", Err(Malformed::Text('Q')));
        check(b'P', b"\0\0", Err(Malformed::Body('P')));
        check(b'P', b"\0\0\xff\xff", Err(Malformed::Body('P')));
        check(b'B', b"\0\0\0\0\0\x01\0\0\0\x09x\0\0", Err(Malformed::Body('B')));
        check(b'B', b"\0\0\0\x02\0\0\0\0\0\x01\0\0\0\0\0\0", Err(Malformed::Body('B')));
        check(b'B', b"\0\0\0\x01\0\x07\0\0\0\0", Err(Malformed::Body('B')));
        check(b'D', b"Qs\0", Err(Malformed::Body('D')));
        check(b'F', b"", Err(Malformed::FunctionCall));
        check(b'!', b"", Err(Malformed::Type(b'!')));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(kind: u8, body: Vec<u8>) {
            let _ = Message::read(kind, Bytes::from(body));
        }
    }
}
