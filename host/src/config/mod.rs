//! pgheal.toml: what it may hold, its defaults, and errors that say where it is wrong.

mod healing;
mod policy;
mod settings;
mod telemetry;

pub use healing::HealingConfig;
pub use policy::{LimitSettings, PolicyConfig};
pub use settings::{Config, ConfigError, IndexSettings, MeasureSettings, PolicySettings, RepairConfig, TargetSettings};
pub use telemetry::{LogFormat, LogSettings, MetricsSettings};
