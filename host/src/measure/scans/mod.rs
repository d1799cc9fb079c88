//! Real index scans of one index, by SQL.

mod exact;
mod plan;
mod quality;
mod session;
mod statement;

pub(super) use exact::exact_rows;
pub(super) use quality::{ScanProbe, ScanQuality, run};
pub use quality::{real_scan_quality, scan_latency_ms};
pub(super) use session::{Others, ScanSession};
pub(super) use statement::Statements;
