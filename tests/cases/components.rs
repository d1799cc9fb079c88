//! The sandbox with real components: those that ship, and those that misbehave. No PostgreSQL is needed.
//! `PGHEAL_POLICIES_DIR` names the directory of the built policies; the misbehaving ones lie beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pgheal::components::*;
use pgheal::model::*;
use played::{Played, context, diagnosis, health, issue};

mod handwritten;
pub mod played;

fn policies_dir() -> PathBuf {
    std::env::var_os("PGHEAL_POLICIES_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/policies"), PathBuf::from)
}

fn test_policies_dir() -> PathBuf {
    policies_dir().join("../test-policies")
}

/// Small enough that a test of a limit does not take long.
fn tight() -> Limits {
    let budget =
        Budget { fuel: u64::MAX / 2, guest_time: Duration::from_millis(200), wall_time: Some(Duration::from_secs(20)) };
    Limits { pure: budget, effect: budget, host_calls: 600, log_lines: 100, ..Limits::default() }
}

/// A directory of its own for one test; removed with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("pgheal-components-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("the temporary directory can be written to");
        Scratch(dir)
    }

    fn with(name: &str, files: &[&str]) -> Self {
        let scratch = Scratch::new(name);
        for file in files {
            let found = [policies_dir(), test_policies_dir()].iter().map(|dir| dir.join(file)).find(|p| p.exists());
            let source = found.unwrap_or_else(|| panic!("{file} is not built: cargo xtask guests --tests"));
            fs::copy(source, scratch.0.join(file)).expect("a component can be copied");
        }
        scratch
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The misbehaving ones may do everything that can be granted: the limits hold nevertheless.
fn granted(limits: &Limits) -> PolicyConfigs {
    let grant = Grant { sql_role: Some("guest".to_owned()), ..Grant::everything() };
    let options = PolicyOptions { grant, ..PolicyOptions::shipped("misbehaving", limits) };
    PolicyConfigs { limits: limits.clone(), by_name: [("misbehaving".to_owned(), options)].into(), grant: None }
}

async fn load(dir: &Scratch, limits: &Limits) -> (Policies, Vec<LoadFailure>) {
    load_with(dir, granted(limits)).await
}

async fn load_with(dir: &Scratch, configs: PolicyConfigs) -> (Policies, Vec<LoadFailure>) {
    let options = PoliciesOptions { configs, ..PoliciesOptions::new(&dir.0) };
    Policies::load(options).await.expect("the directory can be read")
}

#[tokio::test]
async fn the_shipped_policies_load_and_work() {
    let dir = Scratch::with("shipped", &["prioritizer_default.wasm", "parameter_tuning.wasm", "index_rebalance.wasm"]);
    let (policies, failures) = load(&dir, &Limits::default()).await;
    assert_eq!(failures, []);
    let names: Vec<String> = policies.strategies().into_iter().map(|info| info.name).collect();
    // The cheap one is asked first.
    assert_eq!(names, ["parameter_tuning", "index_rebalance"]);
    assert_eq!(policies.prioritizers()[0].name, "prioritizer_default");

    let issue = issue("low recall");
    let context = context(&issue);
    let dry = Arc::new(RefusingHost::new(Some(health(40))));
    for strategy in ["index_rebalance", "parameter_tuning"] {
        assert!(policies.can_repair(strategy, &issue).await.expect("answers"));
    }
    let proposal = policies.propose("parameter_tuning", &issue, &context, dry.clone()).await.expect("answers");
    assert!(proposal.contains("set hnsw.ef_search from 40 to 80"), "{proposal}");
    let proposal = policies.propose("index_rebalance", &issue, &context, dry.clone()).await.expect("answers");
    assert!(proposal.contains("m = 24, ef_construction = 128"), "{proposal}");
    let refused = policies.repair("index_rebalance", &issue, &context, dry).await.expect("answers");
    assert_eq!(refused, Err(RepairFailure::Host("not granted: dry run".into())));

    let host = Played::new();
    let result = policies.repair("parameter_tuning", &issue, &context, host.clone()).await.expect("answers");
    let result = result.expect("ef_search 80 reaches the target");
    assert!(result.success);
    assert_eq!(result.repair_type, "parameter_tuning");
    assert_eq!(*host.calls.lock().expect("unpoisoned"), ["set hnsw.ef_search = 80 for Database"]);
    assert!(policies.validate("parameter_tuning", &issue, &result, host.clone()).await.expect("answers"));
    *host.parameter.lock().expect("unpoisoned") = 40;
    assert!(!policies.validate("parameter_tuning", &issue, &result, host.clone()).await.expect("answers"));
    assert_eq!(policies.rollback("parameter_tuning", &issue, &result, host.clone()).await, Ok(Ok(())));
    assert_eq!(policies.estimated_duration_ms("parameter_tuning", &issue, host).await, Ok(1_234));
    assert_eq!(policies.can_repair("nobody", &issue).await, Err(CallError::NoSuchPolicy("nobody".into())));
}

#[tokio::test]
async fn the_default_prioritizer_ranks() {
    let dir = Scratch::with("ranks", &["prioritizer_default.wasm"]);
    let (policies, _) = load(&dir, &Limits::default()).await;
    let orphans = Issue { kind: IssueKind::OrphanNodes { count: 30, elements_live: 1_000 }, ..issue("orphans") };
    assert_eq!(policies.compute_priority(&orphans).await, Ok(30.0));
    let ranked = policies.prioritize(&[diagnosis(orphans), diagnosis(issue("recall"))]).await.expect("answers");
    assert_eq!(ranked.iter().map(|r| r.position).collect::<Vec<_>>(), [1, 0]);
    assert!(ranked[0].reason.contains("recall@10 is 0.8000"), "{}", ranked[0].reason);
    assert_eq!(policies.prioritize(&[]).await, Ok(Vec::new()));
}

/// Grants are checked with each call, whatever a component imports.
#[tokio::test]
async fn what_is_not_granted_is_denied_by_name() {
    let dir = Scratch::with("grants", &["misbehaving.wasm", "index_rebalance.wasm"]);
    let query = issue("query");
    let sql = async |policies: Policies| {
        let issue = &query;
        policies.propose("misbehaving", issue, &context(issue), Played::new()).await.expect("answers")
    };
    let (policies, _) = Policies::load_dir(&dir.0, &tight(), None).await.expect("the directory can be read");
    let answer = sql(policies).await;
    assert!(answer.contains("not granted: SQL to misbehaving (see [policy.misbehaving.grant] sql_role)"), "{answer}");

    let rebalance = async |grant: Grant| {
        let options = PolicyOptions { grant, ..PolicyOptions::shipped("index_rebalance", &tight()) };
        let configs =
            PolicyConfigs { limits: tight(), by_name: [("index_rebalance".to_owned(), options)].into(), grant: None };
        let (policies, failures) = load_with(&dir, configs).await;
        assert_eq!(failures, []);
        let issue = played::issue("low recall");
        policies.repair("index_rebalance", &issue, &context(&issue), Played::new()).await.expect("answers")
    };
    let failed = |answer: Result<RepairResult, RepairFailure>| answer.expect_err("denied").to_string();
    let found = failed(rebalance(Grant::default()).await);
    assert!(found.contains("actions.build-beside to index_rebalance"), "{found}");
    let elsewhere = Grant { schemas: ["elsewhere".to_owned()].into(), ..Grant::everything() };
    let found = failed(rebalance(elsewhere).await);
    assert!(found.contains("indexes of schema public to index_rebalance"), "{found}");
}

/// What the operator sets is checked against what the component declares, before it serves.
#[tokio::test]
async fn settings_are_typed() {
    let dir = Scratch::with("settings", &["index_rebalance.wasm"]);
    let load = async |settings: &[(&str, &str)], digests: Vec<String>| {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let options = PolicyOptions { settings, digests, ..PolicyOptions::shipped("index_rebalance", &tight()) };
        let configs =
            PolicyConfigs { limits: tight(), by_name: [("index_rebalance".to_owned(), options)].into(), grant: None };
        load_with(&dir, configs).await
    };
    let refused = async |settings: &[(&str, &str)], digests: Vec<String>, expected: &str| {
        let (policies, failures) = load(settings, digests).await;
        assert_eq!(policies.strategies(), []);
        assert_eq!(failures[0].step, LoadStep::Configure);
        assert!(failures[0].reason.contains(expected), "{}", failures[0]);
    };
    let (policies, failures) = load(&[("surgical_max_share", "0.5")], Vec::new()).await;
    assert_eq!(failures, []);
    let info = &policies.strategies()[0];
    assert!(info.settings.iter().any(|setting| setting.name == "max_builds"), "{:?}", info.settings);
    assert!(info.shape.imports.contains(&"actions.swap".to_owned()), "{:?}", info.shape);
    let pinned = vec![info.digest.to_uppercase()];
    assert_eq!(load(&[], pinned).await.1, []);

    refused(&[("surgical_max_share", "2")], Vec::new(), "a number from 0 to 1").await;
    refused(&[("surgical_max_shore", "0.5")], Vec::new(), "it has surgical_max_share, max_builds, max_m").await;
    refused(&[], vec!["00".repeat(32)], "pins it to 0000").await;
}

#[tokio::test]
async fn every_violation_of_a_limit_has_its_name() {
    let dir = Scratch::with("limits", &["misbehaving.wasm"]);
    let limits = tight();
    let (policies, failures) = load(&dir, &limits).await;
    assert_eq!(failures, []);
    let policies = &policies;
    let propose = |id: &'static str| async move {
        let issue = issue(id);
        policies.propose("misbehaving", &issue, &context(&issue), Played::new()).await
    };

    assert_eq!(
        policies.can_repair("misbehaving", &issue("loop")).await,
        Err(CallError::CpuTime(limits.pure.guest_time))
    );
    assert_eq!(propose("loop").await, Err(CallError::CpuTime(limits.effect.guest_time)));
    match propose("memory").await {
        Err(CallError::Memory { wanted, limit }) => assert!(wanted > limit && limit == limits.memory_bytes),
        other => panic!("{other:?}"),
    }
    match propose("panic").await {
        Err(CallError::Trap { message, backtrace }) => {
            assert!(message.contains("on purpose"), "{message}");
            assert!(backtrace.iter().any(|name| name.contains("propose")), "{backtrace:?}");
        }
        other => panic!("{other:?}"),
    }
    match propose("overflow").await {
        Err(CallError::Trap { message, .. }) => assert!(!message.is_empty()),
        other => panic!("{other:?}"),
    }
    assert_eq!(propose("host-calls").await, Err(CallError::TooManyHostCalls(limits.host_calls)));
    assert_eq!(propose("logs").await, Ok("logged".into()));
    assert_eq!(propose("big").await, Err(CallError::TooMuchData(limits.bytes_to_host)));
    assert_eq!(propose("panic-long").await, Err(CallError::TooMuchData(limits.bytes_to_host)));
    assert_eq!(propose("stubborn").await, Err(CallError::TooManyHostCalls(limits.host_calls)));
    let not_utf8 = propose("not-utf8").await;
    assert!(matches!(&not_utf8, Err(CallError::InvalidResult(reason)) if reason.contains("utf")), "{not_utf8:?}");
    assert!(propose("other-index").await.expect("answers").contains("Denied"));
    assert_eq!(propose("query").await, Ok("1 rows, [Value::Int64(7)]".into()));

    let one = issue("any");
    let empty = policies.repair("misbehaving", &one, &context(&one), Played::new()).await;
    assert!(matches!(empty, Err(CallError::InvalidResult(_))), "{empty:?}");
    let result =
        RepairResult { success: true, repair_type: "t".into(), duration_ms: 1, backup: None, details: Vec::new() };
    let validated = policies.validate("misbehaving", &one, &result, Played::new()).await;
    assert!(matches!(validated, Err(CallError::Trap { .. })), "{validated:?}");
    // A trap poisons nothing: the next call has its own instance.
    assert_eq!(policies.can_repair("misbehaving", &one).await, Ok(true));
}

#[tokio::test]
async fn fuel_ends_a_loop_too() {
    let dir = Scratch::with("fuel", &["misbehaving.wasm"]);
    let mut limits = tight();
    limits.pure.fuel = 1_000_000;
    let (policies, _) = load(&dir, &limits).await;
    assert_eq!(policies.can_repair("misbehaving", &issue("loop")).await, Err(CallError::OutOfFuel(1_000_000)));
}

#[tokio::test]
async fn the_hosts_time_is_not_the_guests() {
    let dir = Scratch::with("time", &["misbehaving.wasm"]);
    let mut limits = tight();
    limits.effect.wall_time = None;
    let (policies, _) = load(&dir, &limits).await;
    let slow = |ms| {
        Arc::new(Played {
            parameter: 40.into(),
            calls: Vec::new().into(),
            health_takes: Duration::from_millis(ms),
            rows: 1,
        })
    };
    let one = issue("slow-host");
    let answer = policies.propose("misbehaving", &one, &context(&one), slow(600)).await;
    assert_eq!(answer, Ok("recall Some(0.8)".into()));

    limits.effect.wall_time = Some(Duration::from_millis(100));
    let (policies, _) = load(&dir, &limits).await;
    let began = Instant::now();
    let answer = policies.propose("misbehaving", &one, &context(&one), slow(10_000)).await;
    assert_eq!(answer, Err(CallError::WallTime(Duration::from_millis(100))));
    assert!(began.elapsed() < Duration::from_secs(8), "the host's call is given up at once");
}

#[tokio::test(flavor = "current_thread")]
async fn a_loop_lets_others_run() {
    let dir = Scratch::with("fair", &["misbehaving.wasm", "prioritizer_default.wasm"]);
    let (policies, _) = load(&dir, &tight()).await;
    let stuck = issue("loop");
    let looping = AtomicBool::new(true);
    let looped = async {
        let answer = policies.can_repair("misbehaving", &stuck).await;
        looping.store(false, Relaxed);
        answer
    };
    let beside = async {
        let mut calls = 0;
        while looping.load(Relaxed) {
            policies.compute_priority(&stuck).await.expect("answers");
            calls += 1;
            tokio::task::yield_now().await;
        }
        calls
    };
    let (looped, calls) = tokio::join!(looped, beside);
    assert!(matches!(looped, Err(CallError::CpuTime(_))), "{looped:?}");
    assert!(calls > 0, "no call came through beside a loop on the same thread");
}

#[tokio::test]
async fn results_that_are_too_large_do_not_reach_the_guest() {
    let dir = Scratch::with("rows", &["misbehaving.wasm"]);
    let limits = Limits { rows_to_guest: 10, ..tight() };
    let (policies, _) = load(&dir, &limits).await;
    let one = issue("query");
    let host = Played { parameter: 40.into(), calls: Vec::new().into(), health_takes: Duration::ZERO, rows: 11 };
    let answer = policies.propose("misbehaving", &one, &context(&one), Arc::new(host)).await.expect("answers");
    assert_eq!(answer, "limit: the result has 11 rows, the limit is 10");
}

#[tokio::test]
async fn nonsense_of_a_prioritizer_is_refused() {
    let dir = Scratch::with("nonsense", &["nonsense_prioritizer.wasm"]);
    let (policies, failures) = load(&dir, &tight()).await;
    assert_eq!(failures, []);
    let policies = &policies;
    let priority = |id: &'static str| async move { policies.compute_priority(&issue(id)).await };
    assert!(matches!(priority("nan").await, Err(CallError::InvalidResult(_))));
    assert_eq!(priority("huge").await, Ok(100.0));
    assert_eq!(priority("any").await, Ok(0.0));
    let rank = |id: &'static str| async move {
        policies.prioritize(&[diagnosis(issue(id)), diagnosis(issue("second"))]).await
    };
    for id in ["twice", "beyond", "none"] {
        let answer = rank(id).await;
        assert!(matches!(answer, Err(CallError::InvalidResult(_))), "{id}: {answer:?}");
    }
    assert!(matches!(rank("billion").await, Err(CallError::Memory { .. })));
    assert!(matches!(rank("many").await, Err(CallError::InvalidResult(_) | CallError::TooMuchData(_))));
    let ranked = rank("fine").await.expect("every position once");
    assert!(ranked.iter().all(|item| item.reason.len() <= 500));
}

#[tokio::test]
async fn a_file_that_cannot_serve_is_told_why_and_harms_no_other() {
    let dir = Scratch::with("bad", &["prioritizer_default.wasm", "asks_too_much.wasm", "stuck_at_load.wasm"]);
    let good = fs::read(dir.0.join("prioritizer_default.wasm")).expect("readable");
    let write = |name: &str, bytes: &[u8]| fs::write(dir.0.join(name), bytes).expect("writable");
    write("core.wasm", b"\0asm\x01\0\0\0");
    write("cut.wasm", &good[..good.len() / 2]);
    write("empty.wasm", b"");
    write("text.wasm", b"(component)");
    write("zz_twin.wasm", &good);
    write("notes.txt", b"not looked at");
    fs::create_dir(dir.0.join("folder.wasm")).expect("writable");
    std::os::unix::fs::symlink("/etc/hostname", dir.0.join("link.wasm")).expect("writable");
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    write("damaged.wasm", &damaged);

    let (policies, failures) = load(&dir, &tight()).await;
    assert_eq!(policies.prioritizers().len(), 1);
    let check = |file: &str, step: LoadStep, part: &str| {
        let failure = failures.iter().find(|failure| failure.path.ends_with(file)).expect(file);
        assert_eq!(failure.step, step, "{failure}");
        assert!(failure.reason.contains(part), "{failure}");
    };
    check(
        "asks_too_much.wasm",
        LoadStep::Imports,
        "it imports database.execute, which is not granted to a prioritizer",
    );
    check("stuck_at_load.wasm", LoadStep::Describe, "out of time");
    check("core.wasm", LoadStep::Read, "core WebAssembly module");
    check("cut.wasm", LoadStep::Compile, "");
    check("damaged.wasm", LoadStep::Compile, "");
    check("empty.wasm", LoadStep::Read, "empty");
    check("text.wasm", LoadStep::Read, "text");
    check("folder.wasm", LoadStep::Read, "not a regular file");
    check("link.wasm", LoadStep::Read, "outside of the policy directory");
    check("zz_twin.wasm", LoadStep::Register, "prioritizer_default.wasm");
    assert_eq!(failures.len(), 10);
    assert!(Policies::load_dir(&dir.0.join("nowhere"), &tight(), None).await.is_err());
}

#[tokio::test]
async fn compiled_components_are_kept_and_checked() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Scratch::with("cache", &["prioritizer_default.wasm", "index_rebalance.wasm"]);
    let cache = Scratch::new("cache-dir");
    let cache_dir = cache.0.join("compiled");
    let limits = tight();
    let load = || Policies::load_dir(&dir.0, &limits, Some(&cache_dir));
    let (policies, _) = load().await.expect("loads");
    assert_eq!(policies.strategies().len() + policies.prioritizers().len(), 2);
    let files = || fs::read_dir(&cache_dir).expect("made").map(|f| f.expect("readable").path()).collect::<Vec<_>>();
    assert_eq!(files().len(), 2);
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&cache_dir), 0o700);

    // Damage is noticed, and the component is compiled again.
    for file in files() {
        assert_eq!(mode(&file), 0o600);
        let mut bytes = fs::read(&file).expect("readable");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, bytes).expect("writable");
    }
    let (policies, failures) = load().await.expect("loads");
    assert_eq!(failures, []);
    assert!(policies.compute_priority(&issue("any")).await.is_ok());

    fs::set_permissions(&cache_dir, fs::Permissions::from_mode(0o777)).expect("own directory");
    let error = load().await.err().expect("a directory that others can write to is refused");
    assert!(error.to_string().contains("chmod 700"), "{error:#}");
}

/// Figures, with `--nocapture`; the bounds are wide, for a busy machine.
#[tokio::test]
async fn a_call_costs_microseconds() {
    let dir = Scratch::with("speed", &["prioritizer_default.wasm"]);
    let cache = Scratch::new("speed-cache");
    let load = || async {
        let began = Instant::now();
        let loaded = Policies::load_dir(&dir.0, &Limits::default(), Some(&cache.0)).await.expect("loads");
        (loaded.0, began.elapsed())
    };
    fs::set_permissions(&cache.0, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("own directory");
    let (_, compiled) = load().await;
    let (policies, cached) = load().await;
    let one = issue("any");
    let mut times = Vec::with_capacity(20_000);
    for _ in 0..20_000 {
        let began = Instant::now();
        policies.compute_priority(&one).await.expect("answers");
        times.push(began.elapsed());
    }
    times.sort();
    let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("load with compile {compiled:?}, from the cache {cached:?}; compute-priority p50 {p50:?}, p99 {p99:?}");
    assert!(p50 < Duration::from_millis(1), "{p50:?}");
}
