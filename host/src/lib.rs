//! pgheal: finds out when pgvector search gets worse, says why, repairs it, proves that the repair helped,
//! and undoes it when it did not.

pub mod cli;
pub mod components;
pub mod config;
pub mod daemon;
pub mod endpoint;
mod failpoint;
pub mod heal;
mod hex;
pub mod install;
pub mod measure;
pub mod model;
pub mod pgvector;
pub mod postgres;
pub mod telemetry;
