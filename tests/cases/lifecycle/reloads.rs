//! Reloads under calls without pause.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use pgheal::components::Policies;
use pgheal::model::Severity;

use super::{DEFAULT, FAILS_SELF_CHECK, NAME, UPSIDE_DOWN, digest, failure_of, first_of_the_agenda, issue, serving};
use crate::cases::support::{PolicyDirectory, component, until, version_of};

const RELOADS: u32 = 200;
const FILE: &str = "house.wasm";

/// The callers' threads give way as the compiler's do: without that, two of them that never pause leave it a ninth of a
/// machine of two cores, and the case takes minutes.
#[test]
fn no_call_notices_two_hundred_reloads() -> Result<()> {
    let give_way = || {
        // SAFETY: the call reads its arguments only. On Linux the priority is a thread's own, and 0 names the calling one.
        // Where it is refused, the case takes longer.
        let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 10) };
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(3).on_thread_start(give_way).enable_all().build()?;
    runtime.block_on(reload_under_calls())
}

async fn reload_under_calls() -> Result<()> {
    let (plain, turned) = (component(DEFAULT)?, component(UPSIDE_DOWN)?);
    let fails = component(FAILS_SELF_CHECK)?;
    let directory = PolicyDirectory::new("reloads")?;
    directory.put(FILE, &plain)?;
    let policies = directory.open().await?;
    let watching = policies.serve().await?;
    // A version is good for callers once its file may have been taken up.
    let good: Arc<Mutex<HashSet<String>>> = Arc::new(Mutex::new(HashSet::from([digest(&plain)])));
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..2)
        .map(|_| tokio::spawn(call_without_pause(Arc::clone(&policies), Arc::clone(&good), Arc::clone(&stop))))
        .collect();

    let mut to_active = Vec::new();
    let mut last_good = digest(&plain);
    for number in 0..RELOADS {
        let source = if number % 2 == 0 { &turned } else { &plain };
        let bytes = version_of(source, number);
        let new = digest(&bytes);
        if number % 10 != 9 {
            good.lock().expect("unpoisoned").insert(new.clone());
            directory.put(FILE, &bytes)?;
            let renamed = Instant::now();
            until("a version becomes active", || serving(&policies, NAME).as_ref() == Some(&new)).await?;
            to_active.push(renamed.elapsed());
            last_good = new;
            continue;
        }
        let broken = match number / 10 % 4 {
            0 => bytes[..bytes.len() / 2].to_vec(),
            1 => version_of(&fails, number),
            2 => version_of(b"\0asm\x01\0\0\0", number),
            _ => b"not finished".repeat(number as usize),
        };
        let broken_digest = Some(digest(&broken));
        directory.put(FILE, &broken)?;
        let is_told = || failure_of(&policies, FILE).is_some_and(|failure| failure.digest == broken_digest);
        until("a broken version is reported", is_told).await?;
        assert_eq!(serving(&policies, NAME).as_ref(), Some(&last_good), "a broken version replaced a good one");
    }
    stop.store(true, Relaxed);
    let mut times = Vec::new();
    for caller in callers {
        times.extend(caller.await??);
    }
    watching.stop().await;

    times.sort();
    to_active.sort();
    let of = |times: &[Duration], share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{RELOADS} reloads, {} calls: call p50 {:?}, p99 {:?}, longest {:?}; rename to active p50 {:?}, p99 {:?}, longest {:?}",
        times.len(),
        of(&times, 0.5),
        of(&times, 0.99),
        of(&times, 1.0),
        of(&to_active, 0.5),
        of(&to_active, 0.99),
        of(&to_active, 1.0),
    );
    assert_eq!(to_active.len(), 180);
    assert!(times.len() > 1_000, "the callers hardly came to call: {}", times.len());
    Ok(())
}

/// Every call has a policy, which is a good version and gives that version's answer.
async fn call_without_pause(
    policies: Arc<Policies>,
    good: Arc<Mutex<HashSet<String>>>,
    stop: Arc<AtomicBool>,
) -> Result<Vec<Duration>> {
    let grave = issue("any", Severity::Critical);
    let mut times = Vec::new();
    while !stop.load(Relaxed) {
        let began = Instant::now();
        let prioritizer = policies.prioritizer(None)?;
        let answer = prioritizer.compute_priority(&grave).await?;
        times.push(began.elapsed());
        // 99 is the default's answer, 1 the other's; 7 would be a version's that must not serve.
        ensure!(answer == 99.0 || answer == 1.0, "answer {answer} of {:?}", prioritizer.info());
        ensure!(good.lock().expect("unpoisoned").contains(&prioritizer.info().digest), "{:?}", prioritizer.info());
        tokio::task::yield_now().await;
    }
    Ok(times)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_prioritizer_changes_the_next_agenda() -> Result<()> {
    let (plain, turned) = (component(DEFAULT)?, component(UPSIDE_DOWN)?);
    let directory = PolicyDirectory::new("agenda")?;
    directory.put(FILE, &plain)?;
    let policies = directory.open().await?;
    let watching = policies.serve().await?;
    assert_eq!(first_of_the_agenda(&policies).await?, "grave");
    // A call in flight, or a repair, keeps what it began with.
    let kept = policies.prioritizer(None)?;

    // Deployed by another process: it goes into the file that holds the policy.
    let source = PolicyDirectory::new("agenda-source")?;
    source.put("new.wasm", &turned)?;
    let deployer = directory.open().await?;
    let placed = deployer.deploy(&source.path("new.wasm"), false).await?;
    assert_eq!((placed.file.as_str(), placed.digest.as_str()), (FILE, digest(&turned).as_str()));
    let waited = pgheal::components::wait_until_active(&directory.options(), &placed, Duration::from_secs(30)).await;
    assert!(matches!(waited, pgheal::components::Waited::Active(_)), "{waited:?}");
    assert_eq!(first_of_the_agenda(&policies).await?, "mild");
    assert_eq!(kept.compute_priority(&issue("any", Severity::Critical)).await?, 99.0);

    // A broken one leaves the order, and is reported: by deploy, which puts it nowhere, and where it is copied by hand.
    source.put("broken.wasm", &component(FAILS_SELF_CHECK)?)?;
    let refused = deployer.deploy(&source.path("broken.wasm"), false).await.expect_err("it fails its self-check");
    assert!(refused.to_string().contains("self-check"), "{refused:#}");
    assert_eq!(std::fs::read(directory.path(FILE))?, turned);
    directory.put(FILE, &component(FAILS_SELF_CHECK)?)?;
    until("it is reported", || failure_of(&policies, FILE).is_some()).await?;
    assert_eq!(failure_of(&policies, FILE).expect("just seen").step.to_string(), "self-check");
    assert_eq!(first_of_the_agenda(&policies).await?, "mild");

    let placed = directory.open().await?.roll_back(NAME, None).await?;
    assert_eq!((placed.digest, placed.before), (digest(&plain), Some(digest(&turned))));
    until("it is rolled back", || serving(&policies, NAME) == Some(digest(&plain))).await?;
    assert_eq!(first_of_the_agenda(&policies).await?, "grave");
    until("the failure is forgotten", || failure_of(&policies, FILE).is_none()).await?;
    // Nothing was before that; by its digest, the other one comes back.
    let error = directory.open().await?.roll_back(NAME, None).await.expect_err("there is none before");
    assert!(error.to_string().contains("no version of prioritizer_default before"), "{error:#}");
    directory.open().await?.roll_back(NAME, Some(&digest(&turned)[..12])).await?;
    until("it comes forth again", || serving(&policies, NAME) == Some(digest(&turned))).await?;
    watching.stop().await;
    Ok(())
}
