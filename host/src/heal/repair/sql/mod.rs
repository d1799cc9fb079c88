//! SQL of policies: a transaction on a session of its own login, one statement a call, of allowed kinds only.

mod allow_list;
mod sandbox;
mod values;

pub(super) use sandbox::Sandbox;
