use super::Answer;
use super::show::require;
use crate::endpoint::context::Context;
use crate::endpoint::settings;
use crate::endpoint::sql::{Refused, Tokens};

/// `RESET name` and `RESET ALL`. The latter is about the client's own settings: what drives the engine is not set back
/// by a pool that cleans up a session.
pub(in crate::endpoint) enum Reset {
    One(String),
    All,
}

impl Reset {
    pub(super) fn read(tokens: &mut Tokens) -> Result<Reset, Refused> {
        tokens.take_word("reset");
        let reset = if tokens.take_word("all") {
            Reset::All
        } else if tokens.take_word("session") {
            require(tokens, &["authorization"])?;
            Reset::One("role".to_owned())
        } else {
            Reset::One(tokens.dotted()?)
        };
        tokens.end()?;
        Ok(reset)
    }

    pub(super) async fn run(&self, context: &Context) -> Result<Answer, Refused> {
        let told = match self {
            Reset::All => context.session.client.reset(),
            Reset::One(name) => settings::set(context, name, None, false).await?.into_iter().collect(),
        };
        Ok(Answer { told, ..Answer::done("RESET") })
    }
}
