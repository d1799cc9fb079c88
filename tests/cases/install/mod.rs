//! `pgheal install`: the functions in the database, all the way to a daemon, which a second database plays: a schema
//! `pgheal` with a function `forward`, logged into with SCRAM.

mod away;
mod functions;
mod page_reader;
mod played;
mod setup;
