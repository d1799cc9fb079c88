//! What may lie in a policy directory, and what happens to it.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Result;
use pgheal::components::trust::{SecretKey, SignatureFile};
use pgheal::components::{LoadStep, Policies, PolicyState, Trust};
use pgheal::model::Severity;

use super::{DEFAULT, FAILS_SELF_CHECK, NAME, UPSIDE_DOWN, digest, failure_of, issue, policy, serving};
use crate::cases::support::{PolicyDirectory, component, names_in, until, version_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_file_retires_its_policy_and_a_renamed_one_does_not() -> Result<()> {
    let (plain, nonsense) = (component(DEFAULT)?, component("nonsense_prioritizer.wasm")?);
    let directory = PolicyDirectory::new("retire")?;
    directory.put("a.wasm", &plain)?;
    directory.put("b.wasm", &nonsense)?;
    let policies = directory.open().await?;
    let watching = policies.serve().await?;
    fs::rename(directory.path("a.wasm"), directory.path("c.wasm"))?;
    until("the policy moves", || policy(&policies, NAME).is_ok_and(|p| p.file == "c.wasm")).await?;
    assert_eq!(serving(&policies, NAME), Some(digest(&plain)));

    // Another component in its file: the old name goes when the new one serves.
    directory.put("c.wasm", &component(FAILS_SELF_CHECK)?)?;
    until("it is reported", || failure_of(&policies, "c.wasm").is_some()).await?;
    directory.put("c.wasm", &version_of(&nonsense, 1))?;
    let is_taken = || failure_of(&policies, "c.wasm").is_some_and(|failure| failure.step == LoadStep::Register);
    until("the name is taken", is_taken).await?;
    assert_eq!(serving(&policies, NAME), Some(digest(&plain)), "the old one went before the new one came");
    fs::remove_file(directory.path("b.wasm"))?;
    until("the name is free", || serving(&policies, "nonsense") == Some(digest(&version_of(&nonsense, 1)))).await?;
    until("the old one is retired", || policy(&policies, NAME).is_ok_and(|p| p.state == PolicyState::Retired)).await?;
    assert_eq!(policies.prioritizers().len(), 1);

    fs::remove_file(directory.path("c.wasm"))?;
    until("nothing is left", || policies.prioritizers().is_empty()).await?;
    until("that is told", || policy(&policies, "nonsense").is_ok_and(|p| p.state == PolicyState::Retired)).await?;
    watching.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_serve_is_told_with_its_step() -> Result<()> {
    let plain = component(DEFAULT)?;
    let directory = PolicyDirectory::new("steps")?;
    directory.put("good.wasm", &plain)?;
    let policies = directory.open().await?;
    let watching = policies.serve().await?;

    directory.put("cut.wasm", &plain[..plain.len() / 2])?;
    directory.put("core.wasm", b"\0asm\x01\0\0\0")?;
    symlink("/etc/hostname", directory.path("link.wasm"))?;
    symlink("nowhere", directory.path("dangling.wasm"))?;
    fs::create_dir(directory.path("folder.wasm"))?;
    let made = std::process::Command::new("mkfifo").arg(directory.path("pipe.wasm")).status()?;
    assert!(made.success());
    File::create(directory.path("huge.wasm"))?.set_len(500 << 20)?;
    directory.put("asks.wasm", &component("asks_too_much.wasm")?)?;
    directory.put("twin.wasm", &plain)?;
    // Written to without end, while it is large enough that reading takes a moment.
    let restless = directory.path("restless.wasm");
    fs::write(&restless, vec![7; 48 << 20])?;
    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || -> std::io::Result<()> {
            let file = File::options().write(true).open(restless)?;
            let mut size = 0;
            while !stop.load(Relaxed) {
                size = (size + 1) % 100;
                file.set_len((48 << 20) + size)?;
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        })
    };

    let expected = [
        ("cut.wasm", LoadStep::Compile, ""),
        ("core.wasm", LoadStep::Read, "core WebAssembly module"),
        ("link.wasm", LoadStep::Read, "outside of the policy directory"),
        ("dangling.wasm", LoadStep::Read, "cannot be found"),
        ("folder.wasm", LoadStep::Read, "not a regular file"),
        ("pipe.wasm", LoadStep::Read, "not a regular file"),
        ("huge.wasm", LoadStep::Read, "larger than"),
        ("asks.wasm", LoadStep::Imports, "not granted"),
        ("twin.wasm", LoadStep::Register, "good.wasm"),
        ("restless.wasm", LoadStep::Read, "changed while it was read"),
    ];
    for (file, step, part) in expected {
        let is_told = || failure_of(&policies, file).is_some_and(|f| f.step == step && f.reason.contains(part));
        until(file, is_told).await.map_err(|error| error.context(format!("{:?}", failure_of(&policies, file))))?;
    }
    stop.store(true, Relaxed);
    writing.join().expect("the writer does not panic")?;
    assert_eq!(policies.prioritizers().len(), 1);
    assert_eq!(serving(&policies, NAME), Some(digest(&plain)));
    // A link within the directory is as good as a file.
    fs::remove_file(directory.path("good.wasm"))?;
    fs::remove_file(directory.path("twin.wasm"))?;
    fs::create_dir(directory.path("..data"))?;
    fs::write(directory.path("..data/p.wasm"), version_of(&plain, 1))?;
    symlink("..data/p.wasm", directory.path("good.wasm"))?;
    until("the link serves", || serving(&policies, NAME) == Some(digest(&version_of(&plain, 1)))).await?;
    watching.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_files_of_junk_do_no_harm() -> Result<()> {
    let (plain, turned) = (component(DEFAULT)?, component(UPSIDE_DOWN)?);
    let directory = PolicyDirectory::new("junk")?;
    for number in 0..1_000_u32 {
        fs::write(directory.path(&format!("junk{number:04}.wasm")), format!("junk {number}").repeat(50))?;
    }
    directory.put("good.wasm", &plain)?;
    let began = Instant::now();
    let policies = directory.open().await?;
    let watching = policies.serve().await?;
    let opened = began.elapsed();
    let began = Instant::now();
    directory.put("good.wasm", &turned)?;
    until("a new version serves", || serving(&policies, NAME) == Some(digest(&turned))).await?;
    println!("with 1,000 files of junk: opened in {opened:?}, rename to active {:?}", began.elapsed());
    assert_eq!(policies.compute_priority(&issue("any", Severity::Critical)).await, Ok(1.0));
    let status = policies.status();
    assert_eq!(status.failures.len() as u64 + status.failures_untold, 1_000);
    assert!(fs::metadata(directory.state("status.json"))?.len() < 100_000);
    watching.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_memory_is_put_aside_and_nothing_is_lost() -> Result<()> {
    let (plain, turned) = (component(DEFAULT)?, component(UPSIDE_DOWN)?);
    let directory = PolicyDirectory::new("damaged")?;
    directory.put("p.wasm", &plain)?;
    let policies = directory.open().await?;
    let watching = policies.serve().await?;
    directory.put("p.wasm", &turned)?;
    until("the new version serves", || serving(&policies, NAME) == Some(digest(&turned))).await?;
    watching.stop().await;
    let mode = |path: &str| fs::metadata(directory.state(path)).map(|found| found.permissions().mode() & 0o777);
    assert_eq!((mode("")?, mode("state.json")?), (0o700, 0o600));
    let versions = names_in(&directory.state("versions"))?;
    assert_eq!(versions.len(), 2);

    for damage in ["", "{", "{\"format\": 1}", "null"] {
        fs::write(directory.state("state.json"), damage)?;
        let policies = directory.open().await?;
        let watching = policies.serve().await?;
        assert_eq!(serving(&policies, NAME), Some(digest(&turned)), "after {damage:?}");
        assert_eq!(names_in(&directory.state("versions"))?, versions);
        watching.stop().await;
    }
    let aside = names_in(&directory.state(""))?.into_iter().filter(|name| name.contains("damaged")).count();
    assert_eq!(aside, 4);
    // The memory has begun anew, and versions of before are still there by their digests.
    directory.open().await?.roll_back(NAME, Some(&digest(&plain))).await?;
    assert_eq!(serving(&*directory.open().await?, NAME), Some(digest(&plain)));

    // What a newer pgheal wrote is left alone, and the policies serve.
    let newer = "{\"format\": 2, \"policies\": {}}";
    fs::write(directory.state("state.json"), newer)?;
    let policies = directory.open().await?;
    let watching = policies.serve().await?;
    assert!(policies.status().not_remembered.is_some_and(|reason| reason.contains("newer pgheal")));
    assert_eq!(serving(&policies, NAME), Some(digest(&plain)));
    assert_eq!(fs::read_to_string(directory.state("state.json"))?, newer);
    watching.stop().await;
    Ok(())
}

/// Somebody else's place for the memory, or none, does not keep the policies from serving.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_memory_the_policies_serve() -> Result<()> {
    let (plain, turned) = (component(DEFAULT)?, component(UPSIDE_DOWN)?);
    let directory = PolicyDirectory::new("forgetful")?;
    directory.put("p.wasm", &plain)?;
    fs::create_dir(directory.state(""))?;
    fs::set_permissions(directory.state(""), fs::Permissions::from_mode(0o755))?;
    let policies = directory.open().await?;
    let watching = policies.serve().await?;
    assert!(policies.status().not_remembered.is_some_and(|reason| reason.contains("chmod 700")));
    directory.put("p.wasm", &turned)?;
    until("the new version serves", || serving(&policies, NAME) == Some(digest(&turned))).await?;
    assert_eq!(names_in(&directory.state(""))?, Vec::<String>::new());
    // A second one on the same directory: it serves, and leaves the memory to the first.
    fs::set_permissions(directory.state(""), fs::Permissions::from_mode(0o700))?;
    let first = directory.open().await?;
    let first_watching = first.serve().await?;
    assert!(first.status().not_remembered.is_none());
    let second = directory.open().await?;
    let second_watching = second.serve().await?;
    assert!(second.status().not_remembered.is_some_and(|reason| reason.contains("another pgheal")));
    directory.put("p.wasm", &plain)?;
    for policies in [&first, &second] {
        until("both follow", || serving(policies, NAME) == Some(digest(&plain))).await?;
    }
    second_watching.stop().await;
    first_watching.stop().await;
    watching.stop().await;
    Ok(())
}

/// A signature beside the file goes with the version: to the store, and back by a rollback.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_trusted_does_not_serve() -> Result<()> {
    let (plain, turned) = (component(DEFAULT)?, component(UPSIDE_DOWN)?);
    let directory = PolicyDirectory::new("trust")?;
    let key = SecretKey::generate()?;
    let options = || {
        let mut options = directory.options();
        options.trust = Trust::new(&[key.public().to_string()]).expect("a key");
        options
    };
    let signature = |component: &[u8]| {
        let mut file = SignatureFile::default();
        file.sign(&key, component);
        file.to_text()
    };
    directory.put("p.wasm.sig", signature(&plain).as_bytes())?;
    directory.put("p.wasm", &plain)?;
    let policies = Policies::open(options()).await?;
    let watching = policies.serve().await?;
    assert_eq!(serving(&policies, NAME), Some(digest(&plain)));
    directory.put("p.wasm", &turned)?;
    let is_refused = || failure_of(&policies, "p.wasm").is_some_and(|f| f.step == LoadStep::Trust);
    until("it is refused", is_refused).await?;
    assert_eq!(serving(&policies, NAME), Some(digest(&plain)));
    directory.put("p.wasm.sig", signature(&turned).as_bytes())?;
    until("it is signed", || serving(&policies, NAME) == Some(digest(&turned))).await?;
    Policies::open(options()).await?.roll_back(NAME, None).await?;
    until("it is rolled back", || serving(&policies, NAME) == Some(digest(&plain))).await?;
    assert_eq!(fs::read_to_string(directory.path("p.wasm.sig"))?, signature(&plain));
    watching.stop().await;
    Ok(())
}
