//! What the host does for a repair, one action a file. Each writes its intent and undo to the journal first.

mod analyze;
mod build_beside;
mod compare;
mod discard;
mod drop_index;
mod parameter;
mod reindex;
mod reinsert;
mod replan;
mod swap;
mod vacuum;

pub(super) use analyze::analyze;
pub(super) use build_beside::build_beside;
pub(super) use compare::{compare, scan_quality};
pub(super) use discard::discard;
pub(super) use drop_index::{drop_concurrently, drop_leftovers, table_indexes};
pub use parameter::parameter_refusal;
pub(super) use parameter::{current_setting, set_parameter, setting_statement};
pub(super) use reindex::reindex_concurrently;
pub(super) use reinsert::{base_column, reinsert_rows, restore_ef_construction};
pub(super) use swap::{reverse_swap, swap};
pub(super) use vacuum::vacuum;
