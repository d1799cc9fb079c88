//! The daemon: every target under care, and what the outside sees of it.

pub mod api;
