use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::arguments::RunCommand;
use super::{ExitStatus, policies};
use crate::config::Config;
use crate::daemon::settings::Setting;
use crate::daemon::{Changes, Daemon, DaemonOptions, ServiceManager, keep_alive};

pub(super) async fn run(command: RunCommand) -> anyhow::Result<ExitStatus> {
    // Before anything that takes time: a signal that comes while the policies are loaded is one, and not a death.
    let mut signals = Signals::catch()?;
    let reload = signal(SignalKind::hangup())?;
    let flags = [
        (Setting::Enabled, command.healing_enabled),
        (Setting::IntervalMs, command.healing_interval_ms),
        (Setting::Threshold, command.healing_threshold),
    ];
    let options = DaemonOptions::new(command.config.clone(), &flags).map_err(anyhow::Error::msg)?;
    let mut changes = Changes::of(&command.config);
    let config = Config::load(&command.config)?;
    // The policies take time; a mistake is told before.
    config
        .targets(options.default_url.as_deref())
        .map_err(anyhow::Error::msg)
        .with_context(|| command.config.display().to_string())?;
    let (policies, failures) = policies::load(command.policies.as_deref(), &config).await?;
    for failure in &failures {
        tracing::error!("{failure}");
    }
    // From here on the log hears of files that change.
    let watching = policies.serve().await?;
    let daemon = Daemon::start(config, options, policies).map_err(anyhow::Error::msg)?;
    // Endpoint: `let endpoint = endpoint::serve(&daemon.config().endpoint, daemon.clone()).await?;` belongs here.
    // Metrics: `let metrics = telemetry::serve(&daemon.config().metrics, daemon.clone()).await?;` belongs here.

    let manager = ServiceManager::from_environment();
    if let Some(manager) = &manager {
        manager.ready(&daemon.in_words());
    }
    tokio::select! {
        () = signals.stop() => {}
        never = reloads(&daemon, reload, &mut changes, manager.as_ref()) => match never {},
        () = told(&daemon, manager.as_ref()) => {}
    }
    if let Some(manager) = &manager {
        manager.stopping("stopping: running repairs come to their end");
    }
    tracing::info!("stopping; a second signal leaves running repairs to the journal");
    tokio::select! {
        () = daemon.stop(signals.stop()) => {}
        () = told(&daemon, manager.as_ref()) => {}
    }
    drop(watching);
    tracing::info!("stopped");
    Ok(ExitStatus::Healthy)
}

/// Those that end the daemon.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn catch() -> anyhow::Result<Signals> {
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

enum Never {}

/// Reads the configuration again when its file changes, or on SIGHUP, for ever.
async fn reloads(daemon: &Daemon, mut asked: Signal, changes: &mut Changes, manager: Option<&ServiceManager>) -> Never {
    loop {
        tokio::select! {
            _ = asked.recv() => {}
            () = changes.next() => {}
        }
        if let Some(manager) = manager {
            manager.reloading();
        }
        match daemon.reload() {
            Ok(()) => tracing::info!("the configuration was read again"),
            Err(error) => tracing::error!("the configuration is refused, and the old one stays: {error:#}"),
        }
        if let Some(manager) = manager {
            manager.ready(&daemon.in_words());
        }
    }
}

/// Never returns.
async fn told(daemon: &Arc<Daemon>, manager: Option<&ServiceManager>) {
    match manager {
        Some(manager) => keep_alive(manager, || daemon.in_words()).await,
        None => std::future::pending().await,
    }
}
