//! Who may come in: SCRAM-SHA-256 only, over TLS where that is required, and no more at a time than the limits say.

mod access;
mod admission;
mod parameters;
mod scram;
mod secrets;
mod tls;
mod users;

pub(super) use access::Access;
pub(super) use admission::{Admission, Pending, Place};
pub(super) use parameters::{SERVER_VERSION, announced};
pub(super) use scram::{LoginError, Scram, Step};
pub(super) use users::User;
