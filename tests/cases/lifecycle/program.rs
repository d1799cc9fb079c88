//! `pgheal policy` beside a running daemon, and without one.

use std::fs;

use anyhow::Result;

use super::kills::{Daemon, told};
use super::{DEFAULT, FAILS_SELF_CHECK, NAME, UPSIDE_DOWN, digest};
use crate::cases::support::{PolicyDirectory, Run, component, pgheal, until};

async fn policy_command(directory: &PolicyDirectory, arguments: &[&str]) -> Result<Run> {
    let dir = directory.0.display().to_string();
    pgheal(&[&["policy"], arguments, &["--dir", &dir]].concat()).await
}

#[tokio::test]
async fn deploy_list_and_rollback_with_a_daemon() -> Result<()> {
    let (plain, turned) = (component(DEFAULT)?, component(UPSIDE_DOWN)?);
    let directory = PolicyDirectory::new("program")?;
    let source = PolicyDirectory::new("program-source")?;
    for (file, bytes) in [("one.wasm", &plain), ("two.wasm", &turned), ("bad.wasm", &component(FAILS_SELF_CHECK)?)] {
        source.put(file, bytes)?;
    }
    let file = |name: &str| source.path(name).display().to_string();

    // The first deployment, into an empty directory that nobody serves.
    let run = policy_command(&directory, &["deploy", &file("one.wasm")]).await?;
    run.expect(0);
    assert!(run.stdout.contains("loads at the next start"), "{}", run.stdout);
    assert_eq!(fs::read(directory.path("prioritizer_default.wasm"))?, plain);

    let daemon = Daemon::start(&directory, None).await?;
    assert_eq!(told(&directory), Some(digest(&plain)));
    let run = policy_command(&directory, &["deploy", &file("two.wasm")]).await?;
    run.expect(0);
    assert!(run.stdout.contains("Active after") && run.stdout.contains(&digest(&plain)[..12]), "{}", run.stdout);
    assert_eq!(told(&directory), Some(digest(&turned)));

    let run = policy_command(&directory, &["deploy", &file("bad.wasm")]).await?;
    // The policy's panic is in the log.
    assert_eq!(run.code, Some(3), "{run:#?}");
    assert!(run.stdout.contains("self-check") && run.stdout.contains("cannot do that"), "{}", run.stdout);
    assert_eq!(fs::read(directory.path("prioritizer_default.wasm"))?, turned);
    policy_command(&directory, &["deploy", "/nowhere.wasm"]).await?.expect(3);

    // By hand, around deploy.
    directory.put("prioritizer_default.wasm", &turned[..turned.len() / 2])?;
    directory.put("junk.wasm", b"junk")?;
    let is_listed = || {
        let status = super::kills::status(&directory);
        status.is_some_and(|s| s["policies"][0]["failure"].is_object() && s["failures"][0].is_object())
    };
    until("both are reported", is_listed).await?;
    let run = policy_command(&directory, &["list"]).await?;
    run.expect(0);
    for part in ["served by process", NAME, &digest(&turned)[..12], "active", "compile", "junk.wasm"] {
        assert!(run.stdout.contains(part), "{part} is not in {}", run.stdout);
    }
    let run = policy_command(&directory, &["list", "--json"]).await?;
    run.expect(0);
    let listed = run.json()?;
    assert_eq!(listed["policies"][0]["digest"], digest(&turned));
    assert_eq!(listed["policies"][0]["failure"]["step"], "compile");

    let run = policy_command(&directory, &["rollback", NAME]).await?;
    run.expect(0);
    assert!(run.stdout.contains("Active after"), "{}", run.stdout);
    assert_eq!(told(&directory), Some(digest(&plain)));
    policy_command(&directory, &["rollback", NAME]).await?.expect(2);
    policy_command(&directory, &["rollback", "nobody"]).await?.expect(2);
    policy_command(&directory, &["rollback", NAME, "--to", &digest(&turned)[..8]]).await?.expect(0);
    assert_eq!(told(&directory), Some(digest(&turned)));
    daemon.stop().await?;

    let history = fs::read_to_string(directory.state("state.json"))?;
    let history: serde_json::Value = serde_json::from_str(&history)?;
    let origins: Vec<&str> = history["policies"][NAME]["history"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|event| event["origin"].as_str())
        .collect();
    assert_eq!(origins, ["deploy", "deploy", "rollback", "rollback"]);

    let run = policy_command(&directory, &["list"]).await?;
    run.expect(0);
    assert!(run.stdout.contains("not served by a daemon") && run.stdout.contains(NAME), "{}", run.stdout);
    Ok(())
}
