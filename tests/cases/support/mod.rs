//! What the cases share: a server, the `pgheal` program, and the truth in SQL.

mod attended;
mod indexes;
mod load;
mod policies;
mod program;
mod scans;
mod sick;
mod world;

pub use attended::{Attended, answer};
pub use indexes::{Found, indexes_of, one_is_left};
pub use load::{LONG_WAIT_MS, Load};
pub use policies::{PolicyDirectory, component, names_in, until, version_of};
pub use program::{Run, free_port, pgheal, pgheal_with, start, start_into};
pub use scans::Truth;
pub use sick::{BLIND_OPTIONS, SICK_OPTIONS, add_trigger, blind_rows, fill_table, grouped_rows};
pub use world::{ConfigFile, SharedServer, World, embeddings, install, lock, own_server, workspace};
