//! pgheal.toml: what it may hold, its defaults, and errors that say where it is wrong.

mod healing;
mod settings;

pub use healing::HealingConfig;
pub use settings::{
    Config, ConfigError, IndexSettings, MeasureSettings, PolicyConfig, PolicySettings, RepairConfig, TargetSettings,
};
