//! Versions that fail in service.

use anyhow::Result;
use pgheal::components::{CallError, LoadFailure, LoadStep, Policies, PolicyState};
use pgheal::model::Severity;

use super::{DEFAULT, NAME, UPSIDE_DOWN, digest, failure_of, issue, policy, serving};
use crate::cases::support::{PolicyDirectory, component, until};

const FILE: &str = "prioritizer_default.wasm";

async fn strike(policies: &Policies, id: &str) {
    let answer = policies.compute_priority(&issue(id, Severity::Low)).await;
    assert!(matches!(answer, Err(CallError::InvalidResult(_) | CallError::Trap { .. })), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_strikes_bring_the_version_before_back() -> Result<()> {
    let (plain, turned) = (component(DEFAULT)?, component(UPSIDE_DOWN)?);
    let directory = PolicyDirectory::new("strikes")?;
    directory.put(FILE, &plain)?;
    let policies = directory.open().await?;
    let watching = policies.serve().await?;
    directory.put(FILE, &turned)?;
    until("the new version serves", || serving(&policies, NAME) == Some(digest(&turned))).await?;
    strike(&policies, "nan").await;
    strike(&policies, "trap").await;
    assert_eq!(policy(&policies, NAME)?.strikes, 2);
    assert_eq!(policies.compute_priority(&issue("fine", Severity::Critical)).await, Ok(1.0));
    strike(&policies, "nan").await;
    // At once: the version before is at hand.
    assert_eq!(policies.compute_priority(&issue("nan", Severity::Critical)).await, Ok(99.0));
    let now = policy(&policies, NAME)?;
    assert_eq!((now.digest, now.state, now.strikes), (Some(digest(&plain)), PolicyState::Restored, 0));
    until("it is written down", || failure_of(&policies, FILE).is_some()).await?;
    let failure = failure_of(&policies, FILE).expect("just seen");
    assert_eq!((failure.step, failure.digest), (LoadStep::Quarantine, Some(digest(&turned))));
    assert!(failure.reason.contains("3 strikes, the last one: invalid result"), "{}", failure.reason);
    watching.stop().await;
    drop(policies);

    // Over a restart, with the file still there.
    let policies = directory.open().await?;
    let watching = policies.serve().await?;
    let now = policy(&policies, NAME)?;
    assert_eq!((now.digest, now.state), (Some(digest(&plain)), PolicyState::Restored));
    assert_eq!(now.failure.map(|failure| failure.step), Some(LoadStep::Quarantine));

    // It is not deployed again by mistake, and with --force it is.
    let source = PolicyDirectory::new("strikes-source")?;
    source.put("again.wasm", &turned)?;
    let error = directory.open().await?.deploy(&source.path("again.wasm"), false).await.expect_err("in quarantine");
    assert_eq!(error.downcast_ref::<LoadFailure>().map(|failure| failure.step), Some(LoadStep::Quarantine));
    directory.open().await?.deploy(&source.path("again.wasm"), true).await?;
    until("it is forgiven", || serving(&policies, NAME) == Some(digest(&turned))).await?;
    let now = policy(&policies, NAME)?;
    assert_eq!((now.state, now.strikes, now.failure), (PolicyState::Active, 0, None));
    watching.stop().await;
    drop(policies);

    // No version before is at hand after a restart: the kept one is made ready, and the bad one goes.
    let policies = directory.open().await?;
    let watching = policies.serve().await?;
    assert_eq!(serving(&policies, NAME), Some(digest(&turned)));
    for _ in 0..3 {
        strike(&policies, "nan").await;
    }
    until("the kept version serves", || serving(&policies, NAME) == Some(digest(&plain))).await?;
    watching.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_another_version_nothing_serves() -> Result<()> {
    let turned = component(UPSIDE_DOWN)?;
    let directory = PolicyDirectory::new("strikes-alone")?;
    directory.put(FILE, &turned)?;
    let policies = directory.open().await?;
    let watching = policies.serve().await?;
    for _ in 0..3 {
        strike(&policies, "nan").await;
    }
    until("it is out of service", || policies.prioritizers().is_empty()).await?;
    until("that is told", || policy(&policies, NAME).is_ok_and(|p| p.state == PolicyState::Quarantined)).await?;
    // Removed, and copied there again by somebody who knows better.
    std::fs::remove_file(directory.path(FILE))?;
    until("it is retired", || policy(&policies, NAME).is_ok_and(|p| p.state == PolicyState::Retired)).await?;
    directory.put(FILE, &turned)?;
    until("it serves again", || serving(&policies, NAME) == Some(digest(&turned))).await?;
    watching.stop().await;
    Ok(())
}

/// A command beside the daemon does not write into the daemon's memory, but sees to itself.
#[tokio::test]
async fn a_command_restores_for_itself() -> Result<()> {
    let (plain, turned) = (component(DEFAULT)?, component(UPSIDE_DOWN)?);
    let directory = PolicyDirectory::new("strikes-command")?;
    directory.put(FILE, &plain)?;
    let daemon = directory.open().await?;
    let watching = daemon.serve().await?;
    directory.put(FILE, &turned)?;
    until("the new version serves", || serving(&daemon, NAME) == Some(digest(&turned))).await?;
    let remembered = std::fs::read(directory.state("state.json"))?;
    let command = directory.open().await?;
    for _ in 0..3 {
        strike(&command, "nan").await;
    }
    until("the kept version serves", || serving(&command, NAME) == Some(digest(&plain))).await?;
    assert_eq!(serving(&daemon, NAME), Some(digest(&turned)));
    assert_eq!(std::fs::read(directory.state("state.json"))?, remembered);
    watching.stop().await;
    Ok(())
}
