//! Strategies in JavaScript and Python, in the same sandbox from the same WIT. Where node or Python were missing when the
//! policies were built, these cases say so and pass; with `PGHEAL_REQUIRE_LANGUAGES=1` they fail.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pgheal::components::{Budget, CallError, Limits, Policies};
use serde_json::Value;

use super::components::played::{Played, context, issue};
use super::support::{
    BLIND_OPTIONS, Run, SICK_OPTIONS, World, blind_rows, fill_table, grouped_rows, indexes_of, one_is_left, workspace,
};

const EXAMPLES: [&str; 2] = ["javascript_rebuild", "python_reinsert"];
const MISBEHAVING: [&str; 2] = ["javascript_misbehaving", "python_misbehaving"];

/// A policy that does not come with pgheal may do nothing unless it is granted.
const GRANTS: &str = r#"
[policy.javascript_rebuild.grant]
actions = ["build-beside", "compare", "swap", "discard"]
[policy.python_reinsert.grant]
actions = ["reinsert-rows", "vacuum"]
"#;

/// All rows as one number, whatever their order and place.
const CHECKSUM: &str = "SELECT sum(hashtextextended(d::text, 0)) FROM docs AS d";

/// A policy directory of one case, and a directory for what is compiled; both go with it.
struct Directory {
    path: PathBuf,
}

impl Directory {
    /// None, after a line about it, where one of the policies was not built.
    fn with(case: &str, policies: &[&str]) -> Result<Option<Directory>> {
        let sources: Vec<(&str, PathBuf)> = policies.iter().map(|name| (*name, component(name))).collect();
        if let Some((name, path)) = sources.iter().find(|(_, path)| !path.exists()) {
            let required = std::env::var("PGHEAL_REQUIRE_LANGUAGES").is_ok_and(|value| value == "1");
            ensure!(!required, "{} is not built", path.display());
            eprintln!("{case} is left out: {name} was not built, since its language's tools are not there");
            return Ok(None);
        }
        let path = std::env::temp_dir().join(format!("pgheal-languages-{case}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path)?;
        for (name, source) in sources {
            fs::copy(source, path.join(format!("{name}.wasm")))?;
        }
        Ok(Some(Directory { path }))
    }

    fn cache(&self) -> PathBuf {
        self.path.join("compiled")
    }

    async fn load(&self, limits: &Limits) -> Result<Policies> {
        let (policies, failures) = Policies::load_dir(&self.path, limits, Some(&self.cache())).await?;
        ensure!(failures.is_empty(), "{failures:?}");
        Ok(policies)
    }

    /// A command with these policies alone, granted what they need.
    async fn run(&self, world: &World, command: &str, config: &str, options: &[&str]) -> Result<Run> {
        let path = self.path.display().to_string();
        let options = [&["--json", "--policies", &path], options].concat();
        world.pgheal_configured(command, &format!("{GRANTS}{config}"), &options).await
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Only files among the temporary ones are left behind.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn component(name: &str) -> PathBuf {
    let directory = |variable: &str, otherwise: &str| {
        std::env::var_os(variable).map_or_else(|| workspace().join(otherwise), PathBuf::from)
    };
    let directories = [
        directory("PGHEAL_EXAMPLES_DIR", "target/policies-examples"),
        directory("PGHEAL_TEST_POLICIES_DIR", "target/test-policies"),
        directory("PGHEAL_POLICIES_DIR", "target/policies"),
    ];
    let file = format!("{name}.wasm");
    let found = directories.iter().map(|directory| directory.join(&file)).find(|path| path.exists());
    found.unwrap_or_else(|| directories[0].join(&file))
}

#[tokio::test]
async fn a_strategy_in_javascript_rebuilds_a_sick_index() -> Result<()> {
    let Some(policies) = Directory::with("javascript", &["javascript_rebuild", "prioritizer_default"])? else {
        return Ok(());
    };
    let world = World::new("heal_javascript").await?;
    fill_table(&world, "docs", &grouped_rows(3_000, 1)).await?;
    world
        .sql(&format!("CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) {SICK_OPTIONS}"))
        .await?;
    let before = indexes_of(&world, "docs").await?[0].clone();
    let sick = policies.run(&world, "check", "", &[]).await?;
    sick.expect(1);
    assert!(sick.stdout.contains("build anew with m = 16, ef_construction = 64"), "{}", sick.stdout);

    let healed = policies.run(&world, "heal", "", &["--once"]).await?;
    let repair = healed_by(&world, &healed, "javascript_rebuild").await?;
    assert_eq!(repair["result"]["repair_type"], "index_rebuild");
    let found = indexes_of(&world, "docs").await?;
    one_is_left(&found, &before);
    assert!(found.iter().any(|index| index.kept && index.file == before.file), "the old index is not kept: {found:#?}");
    healthy(&policies.run(&world, "check", "", &[]).await?)
}

/// An invalid index cannot be measured before, and is in nobody's way to be built anew.
#[tokio::test]
async fn a_strategy_in_javascript_rebuilds_an_invalid_index_under_the_house_rule() -> Result<()> {
    let Some(policies) = Directory::with("invalid", &["javascript_rebuild", "prioritizer_default"])? else {
        return Ok(());
    };
    let world = World::new("heal_javascript_invalid").await?;
    fill_table(&world, "docs", &grouped_rows(2_000, 1)).await?;
    world
        .sql(
            "CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) WITH (m = 24, ef_construction = 128); \
             UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'docs_idx'::regclass",
        )
        .await?;
    let strict = "[policy.javascript_rebuild.settings]\nmax_size_gb = 0.000001\n";
    let refused = policies.run(&world, "check", strict, &[]).await?;
    assert!(refused.stdout.contains("people rebuild"), "{refused:#?}");

    let healed = policies.run(&world, "heal", "", &["--once"]).await?;
    healed_by(&world, &healed, "javascript_rebuild").await?;
    let valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'docs_idx'::regclass";
    assert_eq!(world.text(valid).await?, "t");
    Ok(())
}

#[tokio::test]
async fn a_strategy_in_python_reinserts_what_no_search_finds() -> Result<()> {
    let Some(policies) = Directory::with("python", &["python_reinsert", "prioritizer_default"])? else {
        return Ok(());
    };
    let world = World::new("heal_python").await?;
    fill_table(&world, "docs", &blind_rows(11)).await?;
    world
        .sql(&format!("CREATE INDEX docs_idx ON docs USING hnsw (embedding vector_cosine_ops) {BLIND_OPTIONS}"))
        .await?;
    let (rows, file) = (world.text(CHECKSUM).await?, indexes_of(&world, "docs").await?[0].file);
    // Builds draw lots; this is about what re-insertion does, so that it is given room.
    let config = "[measure]\nmax_blind_share = 0.02\n";
    let sick = policies.run(&world, "check", config, &[]).await?;
    sick.expect(1);
    assert!(sick.stdout.contains("rows that a search cannot find, and vacuum"), "{}", sick.stdout);

    let healed = policies.run(&world, "heal", config, &["--once"]).await?;
    let repair = healed_by(&world, &healed, "python_reinsert").await?;
    assert_eq!(repair["result"]["repair_type"], "orphan_reconnection");
    assert_eq!(world.text(CHECKSUM).await?, rows, "the rows have changed");
    assert_eq!(indexes_of(&world, "docs").await?[0].file, file, "it was rebuilt");
    healthy(&policies.run(&world, "check", config, &[]).await?)
}

/// Each limit, in each language, by its own name; and nothing is poisoned by it.
#[tokio::test]
async fn what_runs_away_in_another_language_is_stopped_by_the_same_limits() -> Result<()> {
    let Some(policies) = Directory::with("limits", &MISBEHAVING)? else { return Ok(()) };
    let budget =
        Budget { fuel: u64::MAX / 2, guest_time: Duration::from_millis(500), wall_time: Some(Duration::from_secs(60)) };
    let tight = Limits { pure: budget, effect: budget, ..Limits::default() };
    let loaded = policies.load(&tight).await?;
    for name in MISBEHAVING {
        let propose = async |id: &str| {
            let issue = issue(id);
            loaded.propose(name, &issue, &context(&issue), Played::new()).await
        };
        let looped = loaded.can_repair(name, &issue("loop")).await;
        assert_eq!(looped, Err(CallError::CpuTime(budget.guest_time)), "{name}");
        assert_eq!(propose("loop").await, Err(CallError::CpuTime(budget.guest_time)), "{name}");
        let hoarded = propose("memory").await;
        assert!(matches!(hoarded, Err(CallError::Memory { limit, .. }) if limit == tight.memory_bytes), "{hoarded:?}");
        let thrown = propose("panic").await;
        assert!(
            matches!(&thrown, Err(CallError::Trap { message, .. }) if message.contains("on purpose")),
            "{thrown:?}"
        );
        let deep = propose("overflow").await;
        assert!(matches!(deep, Err(CallError::Trap { .. })), "{name}: {deep:?}");
        assert_eq!(loaded.can_repair(name, &issue("any")).await, Ok(true), "{name}");
    }

    let mut little_fuel = tight.clone();
    little_fuel.pure.fuel = Limits::default().pure.fuel / 4;
    let mut little_time = tight.clone();
    little_time.effect.guest_time = Duration::from_secs(60);
    little_time.effect.wall_time = Some(Duration::from_millis(500));
    let (fuel, time) = (policies.load(&little_fuel).await?, policies.load(&little_time).await?);
    for name in MISBEHAVING {
        let looped = fuel.can_repair(name, &issue("loop")).await;
        let stopped = [Err(CallError::OutOfFuel(little_fuel.pure.fuel)), Err(CallError::CpuTime(budget.guest_time))];
        assert!(stopped.contains(&looped), "{name}: {looped:?}");
        let one = issue("loop");
        let looped = time.propose(name, &one, &context(&one), Played::new()).await;
        assert_eq!(looped, Err(CallError::WallTime(Duration::from_millis(500))), "{name}");
    }
    Ok(())
}

/// No clock, no randomness, no environment, no files: what a runtime offers of these is the same in every call, or
/// refused. That no import of WASI is left is what loading them proves.
#[tokio::test]
async fn no_capability_comes_in_with_a_runtime() -> Result<()> {
    let Some(policies) = Directory::with("capabilities", &MISBEHAVING)? else { return Ok(()) };
    let loaded = policies.load(&Limits::default()).await?;
    for name in MISBEHAVING {
        let one = issue("capabilities");
        let mut answers = Vec::new();
        for _ in 0..3 {
            answers.push(loaded.propose(name, &one, &context(&one), Played::new()).await?);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        println!("{name}: {}", answers[0]);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
        for id in ["read-file", "open-socket"] {
            let one = issue(id);
            let answer = loaded.propose(name, &one, &context(&one), Played::new()).await;
            assert!(
                matches!(&answer, Err(CallError::Trap { .. }))
                    || answer.as_ref().is_ok_and(|a| a.starts_with("refused")),
                "{name} {id}: {answer:?}"
            );
        }
    }
    Ok(())
}

/// A component of many megabytes compiles for seconds, on threads that give way. Figures, with `--nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_component_compiles_while_another_policy_serves() -> Result<()> {
    let Some(large) = Directory::with("large", &EXAMPLES)? else { return Ok(()) };
    let small = Directory::with("small", &["prioritizer_default"])?.context("it is built by the same command")?;
    let serving = Arc::new(small.load(&Limits::default()).await?);
    let alone = calls(&serving, &|| true, 2_000).await?;

    let compiling = Arc::new(AtomicBool::new(true));
    let compile = {
        let (compiling, directory, cache) = (compiling.clone(), large.path.clone(), large.cache());
        tokio::spawn(async move {
            let began = Instant::now();
            let loaded = Policies::load_dir(&directory, &Limits::default(), Some(&cache)).await;
            compiling.store(false, Relaxed);
            loaded.map(|(policies, failures)| (policies, failures, began.elapsed()))
        })
    };
    let meanwhile = calls(&serving, &|| compiling.load(Relaxed), usize::MAX).await?;
    let (policies, failures, compiled) = compile.await??;
    assert_eq!(failures, []);
    assert_eq!(policies.strategies().len(), EXAMPLES.len());

    let began = Instant::now();
    let policies = large.load(&Limits::default()).await?;
    let cached = began.elapsed();
    println!("compiled both in {compiled:?}, from the cache {cached:?}");
    println!("a call of another policy: alone {alone}; meanwhile {meanwhile}");
    for name in EXAMPLES {
        let bytes = fs::metadata(component(name))?.len();
        let one = issue("any");
        let mut times = Vec::new();
        for _ in 0..200 {
            let began = Instant::now();
            assert_eq!(policies.can_repair(name, &one).await, Ok(true));
            times.push(began.elapsed());
        }
        println!("{name}: {bytes} bytes, fresh instance and can-repair {}", Times::of(times));
    }
    // Wide, for a busy machine: a call that waited for the compiler would take as long as that.
    assert!(meanwhile.p99 < Duration::from_millis(500), "{meanwhile}");
    Ok(())
}

/// Calls of the small policy, one after the other, while `go_on` says so.
async fn calls(policies: &Policies, go_on: &(dyn Fn() -> bool + Sync), most: usize) -> Result<Times> {
    let one = issue("any");
    let mut times = Vec::new();
    while times.is_empty() || (go_on() && times.len() < most) {
        let began = Instant::now();
        policies.compute_priority(&one).await?;
        times.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(Times::of(times))
}

struct Times {
    count: usize,
    p50: Duration,
    p99: Duration,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Times {
        times.sort();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        Times { count: times.len(), p50: at(50), p99: at(99) }
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {:?}, p99 {:?} of {} calls", self.p50, self.p99, self.count)
    }
}

/// The repair of this strategy that healed, in what `heal` printed; the history says the same.
async fn healed_by(world: &World, run: &Run, strategy: &str) -> Result<Value> {
    let of = |records: &Value| -> Option<Value> {
        let records = records.as_array()?;
        records.iter().find(|record| record["strategy"] == strategy && record["outcome"] == "healed").cloned()
    };
    let document = run.json()?;
    let repair = of(&document["repairs"]).with_context(|| format!("{strategy} healed nothing: {run:#?}"))?;
    let history = world.pgheal("history", &["--json"]).await?.json()?;
    let remembered = of(&history).with_context(|| format!("not in the history: {history:#}"))?;
    assert_eq!(remembered["result"]["success"], true, "{remembered:#}");
    Ok(repair)
}

/// The issue that the strategies repair is gone, in a measurement of its own.
fn healthy(after: &Run) -> Result<()> {
    assert!(!after.stderr.contains("panicked"), "{after:#?}");
    let index = after.index("docs_idx")?;
    let share = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    assert!(share(&index["recall_at_10"]) >= 0.95, "{index:#}");
    let kinds: Vec<&str> =
        index["issues"].as_array().into_iter().flatten().filter_map(|i| i["kind"].as_str()).collect();
    assert!(!kinds.contains(&"low_recall") && !kinds.contains(&"blind_spots"), "{kinds:?}");
    Ok(())
}
