use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::arguments::RunCommand;
use super::{ExitStatus, policies};
use crate::config::Config;
use crate::daemon::settings::Setting;
use crate::daemon::{Changes, Daemon, DaemonOptions, ServiceManager, keep_alive};
use crate::endpoint::{self, Endpoint};
use crate::telemetry;

/// How long sessions of the endpoint have for what they do when the daemon stops.
const SESSIONS_DEADLINE: Duration = Duration::from_secs(5);

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
    let default_url = options.default_url.clone();
    let daemon = Daemon::start(config, options, policies).map_err(anyhow::Error::msg)?;
    let mut endpoint = endpoint::serve(&daemon.config().endpoint, daemon.clone()).await.context("[endpoint]")?;
    let metrics = telemetry::serve(&daemon.config().metrics, daemon.clone()).await?;
    let read_again = |endpoint: &mut Endpoint| reload_all(&daemon, endpoint, &command.config, default_url.as_deref());

    let manager = ServiceManager::from_environment();
    if let Some(manager) = &manager {
        manager.ready(&daemon.in_words());
    }
    tokio::select! {
        () = signals.stop() => {}
        never = reloads(&daemon, reload, &mut changes, manager.as_ref(), || read_again(&mut endpoint)) => match never {},
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
    // Until here, both could be asked how the stop goes.
    endpoint.stop(SESSIONS_DEADLINE).await;
    drop((metrics, watching));
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
async fn reloads(
    daemon: &Daemon,
    mut asked: Signal,
    changes: &mut Changes,
    manager: Option<&ServiceManager>,
    mut read_again: impl FnMut() -> anyhow::Result<()>,
) -> Never {
    loop {
        tokio::select! {
            _ = asked.recv() => {}
            () = changes.next() => {}
        }
        if let Some(manager) = manager {
            manager.reloading();
        }
        match read_again() {
            Ok(()) => tracing::info!("the configuration was read again"),
            Err(error) => tracing::error!("the configuration is refused, and the old one stays: {error:#}"),
        }
        if let Some(manager) = manager {
            manager.ready(&daemon.in_words());
        }
    }
}

/// All of the configuration is looked at before any of it is taken.
fn reload_all(daemon: &Daemon, endpoint: &mut Endpoint, path: &Path, default_url: Option<&str>) -> anyhow::Result<()> {
    let config = Config::load(path)?;
    config.targets(default_url).map_err(anyhow::Error::msg)?;
    endpoint.reload(&config.endpoint).context("[endpoint]")?;
    daemon.take(config)
}

/// Never returns.
async fn told(daemon: &Arc<Daemon>, manager: Option<&ServiceManager>) {
    match manager {
        Some(manager) => keep_alive(manager, || daemon.in_words()).await,
        None => std::future::pending().await,
    }
}
