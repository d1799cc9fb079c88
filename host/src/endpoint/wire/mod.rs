//! What comes over the socket, before anything of it is believed: bounded, checked, and read into messages.
//! Messages to the client are pgwire's; those from it are read here, because a length must be refused before it is
//! buffered.

mod frontend;
mod opening;
mod reader;
mod stream;

pub(super) use frontend::{Bind, Described, Malformed, Message, Parse};
pub(super) use opening::{Opening, Startup, open};
pub(super) use reader::{ReadError, Reader};
pub(super) use stream::{Socket, Stream};
