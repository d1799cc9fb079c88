//! What the cases share: a server, the `pgheal` program, and the truth in SQL.

mod program;
mod scans;
mod world;

pub use program::{Run, pgheal, pgheal_with, start};
pub use scans::{Scans, Truth};
pub use world::{ConfigFile, World, embeddings, install, own_server, workspace};
