//! Before and after in, verdict out. Pure; both measurements are of the same probe queries.

mod judge;

pub use judge::{Targets, Verdict, judge};
