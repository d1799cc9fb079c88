//! The healing loop: detect, diagnose, prioritize, repair, verify. The only file that names all five stages.

pub mod detect;
pub mod diagnose;
pub mod prioritize;
pub mod repair;
pub mod verify;
