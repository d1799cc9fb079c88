use crate::endpoint::sql::{Refused, Tokens, unexpected};

/// `DISCARD ALL` and its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::endpoint) enum Discard {
    /// Settings, statements, portals.
    All,
    /// There is nothing of that.
    Other(&'static str),
}

impl Discard {
    pub(super) fn read(tokens: &mut Tokens) -> Result<Discard, Refused> {
        tokens.take_word("discard");
        let discard = if tokens.take_word("all") {
            Discard::All
        } else if tokens.take_word("plans") {
            Discard::Other("DISCARD PLANS")
        } else if tokens.take_word("sequences") {
            Discard::Other("DISCARD SEQUENCES")
        } else if tokens.take_word("temp") || tokens.take_word("temporary") {
            Discard::Other("DISCARD TEMP")
        } else {
            return Err(unexpected(tokens.next()));
        };
        tokens.end()?;
        Ok(discard)
    }

    pub(in crate::endpoint) fn tag(self) -> &'static str {
        match self {
            Discard::All => "DISCARD ALL",
            Discard::Other(tag) => tag,
        }
    }
}
