use std::path::PathBuf;

use super::settings::{Layers, Setting, Source};

/// How a daemon is started.
#[derive(Clone, Debug, Default)]
pub struct DaemonOptions {
    /// Read again when it changes.
    pub config_path: PathBuf,
    /// The database where the configuration names none (PGHEAL_URL).
    pub default_url: Option<String>,
    /// What the environment and the flags say; neither changes while the process lives.
    pub process: Layers,
}

impl DaemonOptions {
    /// With the settings of this process's environment, and those given as flags.
    ///
    /// # Errors
    /// A value that is out of range: a daemon does not start on a mistake.
    pub fn new(config_path: PathBuf, flags: &[(Setting, Option<String>)]) -> Result<Self, String> {
        let mut process = Layers::default();
        for setting in Setting::ALL {
            let variable = setting.environment_variable();
            if let Ok(text) = std::env::var(variable)
                && !text.trim().is_empty()
            {
                setting.parse(&text).map_err(|complaint| format!("{variable}: {complaint}"))?;
                process.put(Source::Environment, setting, text);
            }
        }
        for (setting, text) in flags {
            if let Some(text) = text {
                setting.parse(text)?;
                process.put(Source::Flag, *setting, text.clone());
            }
        }
        Ok(DaemonOptions { config_path, default_url: std::env::var("PGHEAL_URL").ok(), process })
    }
}
