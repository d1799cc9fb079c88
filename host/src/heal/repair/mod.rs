//! Repair: what policies ask of the host, done with a journal, a gate and an undo. The only stage that changes
//! PostgreSQL.
//!
//! A repair is a `RepairHost` between `Journal::start_repair` and `Journal::finish_repair`. A policy calls its
//! `PolicyHost` side; the loop calls `commit_sql` or `undo_open`. At start the leader calls `recover`, and from time
//! to time `drop_expired`.

mod actions;
mod disk;
mod error;
mod gate;
mod host;
mod names;
mod preconditions;
mod recovery;
mod refusals;
mod session;
mod settings;
mod sql;
mod state;
mod statement;
mod undo;
mod watch;

pub use actions::parameter_refusal;
pub use gate::{Figures, GateVerdict, judge};
pub use host::RepairHost;
pub use recovery::{Expired, Recovery, drop_expired, recover};
pub use refusals::{Refusals, refusals};
pub use settings::{Consents, PolicyRole, RepairSettings};
pub use undo::UndoReport;
