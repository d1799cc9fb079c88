//! pgheal.toml: what it may hold, its defaults, and errors that say where it is wrong.

mod endpoint;
mod healing;
mod policy;
mod settings;

pub use endpoint::{DEFAULT_PORT, EndpointConfig, EndpointUser};
pub use healing::HealingConfig;
pub use policy::{LimitSettings, PolicyConfig};
pub use settings::{Config, ConfigError, IndexSettings, MeasureSettings, PolicySettings, RepairConfig, TargetSettings};
