//! kill -9 during deploy, reload and rollback: the next start serves the last good version of each policy.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pgheal::components::PolicyState;
use pgheal::model::Severity;
use rand::Rng;
use tokio::process::Child;

use super::{DEFAULT, FAILS_SELF_CHECK, NAME, UPSIDE_DOWN, digest, issue, policy, serving};
use crate::cases::support::{
    ConfigFile, PolicyDirectory, component, names_in, pgheal, pgheal_with, start, until, version_of,
};

const FILE: &str = "prioritizer_default.wasm";

/// The daemon without a database: it waits for one, and serves the policies meanwhile.
pub struct Daemon {
    child: Child,
    _config: ConfigFile,
}

impl Daemon {
    pub async fn start(directory: &PolicyDirectory, failpoint: Option<&str>) -> Result<Daemon> {
        let config = ConfigFile::write("lifecycle", "[target]\nurl = \"postgresql://nobody@127.0.0.1:1/none\"\n")?;
        let (path, dir) = (config.0.display().to_string(), directory.0.display().to_string());
        let variables: Vec<(&str, &str)> = failpoint.map(|name| ("PGHEAL_FAILPOINT", name)).into_iter().collect();
        let child = start(&["run", "--config", &path, "--policies", &dir], &variables)?;
        let pid = child.id().context("it runs")?;
        let daemon = Daemon { child, _config: config };
        until("the daemon serves", || status(directory).is_some_and(|status| status["pid"] == pid)).await?;
        Ok(daemon)
    }

    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    pub async fn died(mut self) -> Result<()> {
        let status =
            tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await.context("it lives on")??;
        ensure!(status.code().is_none(), "it ended by itself: {status}");
        Ok(())
    }

    pub async fn stop(mut self) -> Result<()> {
        let pid = self.child.id().context("it has ended")?;
        let told = std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status()?;
        ensure!(told.success());
        let status =
            tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await.context("it lives on")??;
        ensure!(status.code() == Some(0), "{status}");
        Ok(())
    }
}

/// What the daemon tells.
pub fn status(directory: &PolicyDirectory) -> Option<serde_json::Value> {
    serde_json::from_slice(&fs::read(directory.state("status.json")).ok()?).ok()
}

pub fn told(directory: &PolicyDirectory) -> Option<String> {
    let status = status(directory)?;
    let policy = status["policies"].as_array()?.iter().find(|policy| policy["name"] == NAME)?.clone();
    policy["digest"].as_str().map(str::to_owned)
}

/// A directory whose daemon served the plain version first and then the turned one, and has ended.
async fn with_history(name: &str) -> Result<(PolicyDirectory, Vec<u8>, Vec<u8>)> {
    let (plain, turned) = (component(DEFAULT)?, component(UPSIDE_DOWN)?);
    let directory = PolicyDirectory::new(name)?;
    directory.put(FILE, &plain)?;
    directory.put("other.wasm", &component("nonsense_prioritizer.wasm")?)?;
    let policies = directory.open().await?;
    let watching = policies.serve().await?;
    directory.put(FILE, &turned)?;
    until("the turned one serves", || serving(&policies, NAME) == Some(digest(&turned))).await?;
    watching.stop().await;
    Ok((directory, plain, turned))
}

/// That a start serves this version, and the other policy, too.
async fn next_start_serves(directory: &PolicyDirectory, expected: &[u8], after: &str) -> Result<()> {
    let policies = directory.open().await?;
    let watching = policies.serve().await?;
    let found = policy(&policies, NAME)?;
    ensure!(found.digest == Some(digest(expected)), "after {after}: {found:#?}");
    ensure!(found.state == PolicyState::Active, "after {after}: {found:#?}");
    ensure!(serving(&policies, "nonsense").is_some(), "after {after} the other policy is gone");
    policies.compute_priority(&issue("any", Severity::Critical)).await?;
    watching.stop().await;
    Ok(())
}

#[tokio::test]
async fn killed_while_deploying() -> Result<()> {
    for (point, arrives) in [("deploy_before_rename", false), ("deploy_after_rename", true)] {
        let (directory, plain, turned) = with_history(point).await?;
        let new = version_of(&plain, 1);
        let source = PolicyDirectory::new("source")?;
        source.put("new.wasm", &new)?;
        let file = source.path("new.wasm").display().to_string();
        let dir = directory.0.display().to_string();
        let run = pgheal_with(&["policy", "deploy", &file, "--dir", &dir], &[("PGHEAL_FAILPOINT", point)]).await?;
        ensure!(run.code.is_none(), "it did not die at {point}: {run:#?}");
        next_start_serves(&directory, if arrives { &new } else { &turned }, point).await?;
        // What it left unfinished is in nobody's way.
        pgheal(&["policy", "deploy", &file, "--dir", &dir]).await?.expect(0);
        next_start_serves(&directory, &new, point).await?;
    }
    Ok(())
}

#[tokio::test]
async fn killed_while_rolling_back() -> Result<()> {
    for (point, arrives) in [("rollback_before_rename", false), ("rollback_after_rename", true)] {
        let (directory, plain, turned) = with_history(point).await?;
        let dir = directory.0.display().to_string();
        let run = pgheal_with(&["policy", "rollback", NAME, "--dir", &dir], &[("PGHEAL_FAILPOINT", point)]).await?;
        ensure!(run.code.is_none(), "it did not die at {point}: {run:#?}");
        next_start_serves(&directory, if arrives { &plain } else { &turned }, point).await?;
    }
    Ok(())
}

#[tokio::test]
async fn killed_while_reloading() -> Result<()> {
    for point in ["reload_before_state", "reload_after_state"] {
        let (directory, plain, turned) = with_history(point).await?;
        let daemon = Daemon::start(&directory, Some(point)).await?;
        let new = version_of(&plain, 1);
        directory.put(FILE, &new)?;
        daemon.died().await?;
        // A broken file now: the last good version is the one that was being taken up where that was written down.
        let copy = fs::read(directory.state("state.json"))?;
        directory.put(FILE, &component(FAILS_SELF_CHECK)?)?;
        let policies = directory.open().await?;
        let restored = policy(&policies, NAME)?;
        let last_good = if point == "reload_after_state" { &new } else { &turned };
        assert_eq!((restored.digest, restored.state), (Some(digest(last_good)), PolicyState::Restored), "{point}");
        assert_eq!(fs::read(directory.state("state.json"))?, copy, "opening alone writes");
        directory.put(FILE, &new)?;
        next_start_serves(&directory, &new, point).await?;
    }
    Ok(())
}

/// The daemon, killed at random moments while versions come and go; every tenth is broken.
#[tokio::test]
async fn killed_at_random() -> Result<()> {
    const KILLS: u32 = 8;
    let (directory, plain, turned) = with_history("random").await?;
    let broken = component(FAILS_SELF_CHECK)?;
    let mut good: Vec<String> = vec![digest(&plain), digest(&turned)];
    let mut number = 0;
    for _ in 0..KILLS {
        let daemon = Daemon::start(&directory, None).await?;
        let end = Instant::now() + Duration::from_millis(rand::rng().random_range(0..700));
        while Instant::now() < end {
            number += 1;
            let bytes = match number % 10 {
                9 => version_of(&broken, number),
                even if even % 2 == 0 => version_of(&turned, number),
                _ => version_of(&plain, number),
            };
            if number % 10 != 9 {
                good.push(digest(&bytes));
            }
            directory.put(FILE, &bytes)?;
            tokio::time::sleep(Duration::from_millis(rand::rng().random_range(1..80))).await;
        }
        daemon.kill().await?;
        let policies = directory.open().await?;
        let found = policy(&policies, NAME)?;
        let digest = found.digest.clone().with_context(|| format!("nothing serves: {found:#?}"))?;
        ensure!(good.contains(&digest), "{found:#?}");
        policies.compute_priority(&issue("any", Severity::Critical)).await?;
        ensure!(serving(&policies, "nonsense").is_some());
    }
    // Ten versions of the one policy at the most, one of the other; nothing unfinished that is taken for more.
    let versions = names_in(&directory.state("versions"))?;
    let whole = versions.iter().filter(|name| !name.starts_with('.')).count();
    ensure!(whole <= 10 + 1 + KILLS as usize, "{versions:#?}");
    Ok(())
}
