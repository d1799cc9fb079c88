use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use super::arguments::RunCommand;
use super::{ExitStatus, policies};
use crate::config::Config;
use crate::heal::Healer;
use crate::model::Silent;
use crate::postgres::Connector;

/// How long the daemon waits for the database before it looks again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// How long a stop waits for running repairs; what is still running is resolved from the journal at the next start.
const DRAIN_DEADLINE: Duration = Duration::from_secs(30);

pub(super) async fn run(command: RunCommand) -> anyhow::Result<ExitStatus> {
    let config = Arc::new(Config::load(&command.config)?);
    let url = config
        .target
        .url
        .clone()
        .or_else(|| std::env::var("PGHEAL_URL").ok())
        .context("no database: set url in [target], or PGHEAL_URL")?;
    let connector = Connector::parse(&url)?;
    // Before anything that takes time: a stop that comes while the policies are loaded is one, and not a death.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (policies, failures) = policies::load(command.policies.as_deref(), &config).await?;
    for failure in &failures {
        tracing::error!("{failure}");
    }
    // From here on the log hears of files that change.
    let watching = policies.serve().await?;

    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        never = forever(connector, config, policies) => match never {},
    }
    drop(watching);
    tracing::info!("stopped");
    Ok(ExitStatus::Healthy)
}

enum Never {}

/// Cycles without end. A lost database is waited for: the healer starts anew, and with it the recovery.
async fn forever(connector: Connector, config: Arc<Config>, policies: Arc<crate::components::Policies>) -> Never {
    loop {
        match Healer::start(connector.clone(), Arc::clone(&config), Arc::clone(&policies), Arc::new(Silent)).await {
            Ok(mut healer) => {
                tracing::info!(server = connector.server(), "watching");
                if let Err(error) = cycles(&mut healer, &config).await {
                    tracing::error!("the cycle failed: {error:#}");
                    let waited = tokio::time::timeout(DRAIN_DEADLINE, healer.wait_for_repairs()).await;
                    if waited.is_err() {
                        tracing::warn!("repairs are still running; the journal resolves them");
                    }
                }
            }
            Err(error) => tracing::error!("not started: {error:#}"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn cycles(healer: &mut Healer, config: &Config) -> anyhow::Result<()> {
    loop {
        let cycle = healer.run_check_cycle(None).await?;
        tracing::info!(
            issues = cycle.detected_issues.len(),
            started = cycle.repairs_initiated,
            completed = cycle.repairs_completed.len(),
            active = cycle.active_repairs,
            took_ms = cycle.duration.as_millis() as u64,
            "cycle"
        );
        for (index, reason) in &cycle.failed_checks {
            tracing::warn!(index, "not measured: {reason}");
        }
        tokio::time::sleep(Duration::from_millis(config.healing.check_interval_ms)).await;
    }
}
