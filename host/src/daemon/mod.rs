//! The daemon: every database under care in a task of its own, and what the outside sees of it.
//!
//! `care` looks after one database, `settings` says which of a setting's sources holds, `engine` is the whole (and the
//! `api::Engine` of the outside), `changes` notices that the configuration file changes, `systemd` tells the service
//! manager how things are.

pub mod api;
mod care;
mod changes;
mod engine;
mod options;
pub mod settings;
mod systemd;

pub use changes::Changes;
pub use engine::Daemon;
pub use options::DaemonOptions;
pub use systemd::{ServiceManager, keep_alive};
