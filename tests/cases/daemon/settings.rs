//! Settings from the database, the endpoint and the session, and which of them holds.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use pgheal::daemon::api::{EffectiveSetting, Engine, Refusal, Role, SessionSettings};

use super::{Running, caller, eventually};
use crate::cases::support::World;

const TARGET: &str = "settings";
const ENABLED: &str = "ruvector.dag_healing_enabled";
const INTERVAL: &str = "ruvector.dag_healing_interval_ms";
const THRESHOLD: &str = "ruvector.dag_healing_threshold";

fn session(settings: &[(&str, &str)]) -> SessionSettings {
    SessionSettings(
        settings.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect::<BTreeMap<_, _>>(),
    )
}

impl Running {
    fn setting(&self, name: &str, session: &SessionSettings) -> Result<EffectiveSetting> {
        let settings = self.daemon.settings(TARGET, session)?;
        settings.into_iter().find(|setting| setting.name == name).context("no such setting")
    }

    /// Waits until the value and its source are these; what is refused goes with them.
    async fn until_setting(&self, name: &str, value: &str, source: &str) -> Result<Option<String>> {
        eventually(&format!("{name} = {value} from {source}"), async || {
            let setting = self.setting(name, &SessionSettings::default())?;
            Ok((setting.value == value && setting.source == source).then_some(setting.refused))
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_come_from_everywhere_and_the_strongest_valid_one_holds() -> Result<()> {
    let world = World::new("daemon_settings").await?;
    let toml =
        format!("[target]\nname = \"{TARGET}\"\nurl = \"{}\"\n[healing]\ncheck_interval_ms = 3600000\n", world.url());
    let running = Running::start("daemon_settings", &toml).await?;
    // A database without a vector index is no failure.
    let view = running.until(TARGET, "the first cycle", |view| view.last_cycle.is_some()).await?;
    assert_eq!((view.state.name(), view.indexes.len(), view.auto_heal_enabled), ("leading", 0, true));
    assert_eq!(running.until_setting(INTERVAL, "3600000", "pgheal.toml").await?, None);
    assert_eq!(running.until_setting(ENABLED, "on", "default").await?, None);

    // For good, and without a restart; what is no value is told, and the next one holds.
    world
        .sql(&format!(
            "ALTER DATABASE daemon_settings SET {ENABLED} = 'off'; \
             ALTER DATABASE daemon_settings SET {INTERVAL} = '30min'; \
             ALTER DATABASE daemon_settings SET {THRESHOLD} = 0.4; \
             ALTER ROLE postgres IN DATABASE daemon_settings SET {THRESHOLD} = 'a lot'"
        ))
        .await?;
    running.until_setting(ENABLED, "off", "database").await?;
    assert_eq!(running.until_setting(INTERVAL, "1800000", "database").await?, None);
    let refused = running.until_setting(THRESHOLD, "0.4", "database").await?.context("it is told")?;
    assert!(refused.starts_with("role: ") && refused.contains("a lot"), "{refused}");
    assert!(!running.view(TARGET)?.auto_heal_enabled);

    // At the endpoint, by admins, within the range.
    let (daemon, admin) = (&running.daemon, caller(Role::Admin));
    let refused = daemon.set(TARGET, ENABLED, Some("on"), &caller(Role::Operator)).await;
    assert!(matches!(refused, Err(Refusal::NotPermitted(_))), "{refused:?}");
    for (name, text) in [(ENABLED, "maybe"), (INTERVAL, "5"), (THRESHOLD, "0"), ("ruvector.nothing", "1")] {
        let refused = daemon.set(TARGET, name, Some(text), &admin).await;
        assert!(matches!(refused, Err(Refusal::InvalidValue(_))), "{name} = {text}: {refused:?}");
    }
    daemon.set(TARGET, ENABLED, Some("on"), &admin).await?;
    assert_eq!(running.setting(ENABLED, &SessionSettings::default())?.source, "endpoint");
    assert!(running.view(TARGET)?.auto_heal_enabled);

    // Of a session: for its own calls only; empty means unset.
    let own = session(&[(ENABLED, "off"), (INTERVAL, ""), ("application_name", "psql")]);
    assert_eq!(running.setting(ENABLED, &own)?.source, "session");
    assert_eq!(running.setting(INTERVAL, &own)?.source, "database");
    assert!(running.view(TARGET)?.auto_heal_enabled);
    let refused = daemon.settings(TARGET, &session(&[(THRESHOLD, "2")]));
    assert!(matches!(&refused, Err(Refusal::InvalidValue(reason)) if reason.contains("at most 1")), "{refused:?}");

    daemon.set(TARGET, ENABLED, None, &admin).await?;
    assert_eq!(running.setting(ENABLED, &SessionSettings::default())?.source, "database");
    // Changed while the session that looks for changes is away.
    world
        .sql(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name = 'pgheal heartbeat' AND datname = current_database(); \
             ALTER DATABASE daemon_settings RESET {ENABLED}"
        ))
        .await?;
    running.until_setting(ENABLED, "on", "default").await?;

    // The interval holds at once: the next cycle does not wait for the old one's end.
    let before = running.view(TARGET)?.metrics.checks_performed;
    daemon.set(TARGET, INTERVAL, Some("1s"), &admin).await?;
    running.until(TARGET, "more cycles", |view| view.metrics.checks_performed > before + 1).await?;

    // The file, read again: a bad one changes nothing.
    std::fs::write(&running.config.0, "[healing]\ncheck_interval_ms = 1\n")?;
    let refused = format!("{:#}", daemon.reload().expect_err("out of range"));
    assert!(refused.contains("check_interval_ms is 1"), "{refused}");
    std::fs::write(&running.config.0, format!("{toml}performance_threshold = 0.7\n"))?;
    daemon.reload()?;
    world.sql(&format!("ALTER DATABASE daemon_settings RESET {THRESHOLD}")).await?;
    running.until_setting(THRESHOLD, "0.7", "pgheal.toml").await?;
    running.stop().await;
    Ok(())
}
