//! pgheal.toml: what it may hold, its defaults, and errors that say where it is wrong.

mod endpoint;
mod healing;
mod policy;
mod settings;
mod target;
mod telemetry;

pub use endpoint::{DEFAULT_PORT, EndpointConfig, EndpointUser};
pub use healing::{CHECK_INTERVAL_MS, Given, HealingConfig};
pub use policy::{LimitSettings, PolicyConfig};
pub use settings::{Config, ConfigError, IndexSettings, MeasureSettings, PolicySettings, RepairConfig};
pub use target::{ALL_TARGETS, Target, TargetSettings};
pub use telemetry::{LogFormat, LogSettings, MetricsSettings};
