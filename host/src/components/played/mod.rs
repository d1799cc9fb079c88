//! A database that is played from a file: for tests of policies, without PostgreSQL.

mod health;
mod host;
mod recording;
mod script;

pub use health::health_from_json;
pub use host::PlayedHost;
pub use recording::{RecordedCall, RecordingHost};
pub use script::{PlayedBuild, PlayedDatabase, PlayedError, PlayedReinsertion, PlayedSql, PlayedValue};
