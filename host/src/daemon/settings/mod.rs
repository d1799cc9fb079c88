//! The settings `ruvector.dag_healing_*`: what each may be, and which of its sources holds.

mod definition;
mod layers;
mod stored;

pub use definition::{Setting, SettingValue};
pub use layers::{Layers, Source};
pub use stored::{stored_settings, trace_of_stored_settings};
