use crate::endpoint::sql::{Refused, Tokens};

/// `DEALLOCATE [PREPARE] name` and `DEALLOCATE ALL`: statements that were prepared through the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::endpoint) enum Deallocate {
    One(String),
    All,
}

impl Deallocate {
    pub(super) fn read(tokens: &mut Tokens) -> Result<Deallocate, Refused> {
        tokens.take_word("deallocate");
        tokens.take_word("prepare");
        let deallocate = if tokens.take_word("all") { Deallocate::All } else { Deallocate::One(tokens.identifier()?) };
        tokens.end()?;
        Ok(deallocate)
    }

    pub(in crate::endpoint) fn tag(&self) -> &'static str {
        match self {
            Deallocate::All => "DEALLOCATE ALL",
            Deallocate::One(_) => "DEALLOCATE",
        }
    }
}
