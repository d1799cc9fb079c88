//! Components written by hand (`tests/guests/handwritten`), for what no compiler would make: start functions that do
//! not end, tables that grow.

use std::fs;

use pgheal::components::*;

use super::{Scratch, load, tight};

#[tokio::test]
async fn a_start_function_is_bounded_like_any_other() {
    let check = async |name: &str, expected: &[&str]| {
        let dir = Scratch::with(&format!("start-{name}"), &[&format!("start_{name}.wasm")]);
        let (policies, failures) = load(&dir, &tight()).await;
        assert_eq!(policies.prioritizers(), [], "{name}");
        let failure = &failures[0];
        assert_eq!(failure.step, LoadStep::Describe, "{failure}");
        assert!(expected.iter().any(|part| failure.reason.contains(part)), "{failure}");
    };
    check("loop", &["out of time: its own code"]).await;
    check("trap", &["trap: "]).await;
    check("recursion", &["trap: "]).await;
    check("grow_memory", &["out of memory"]).await;
    // The pool ends a table's growth before the budget of memory does; the loop then goes on until its time is over.
    check("grow_table", &["out of memory", "out of time"]).await;
}

/// What the others are compared with.
#[tokio::test]
async fn a_start_function_that_ends_is_no_harm() {
    let dir = Scratch::with("start-nothing", &["start_nothing.wasm"]);
    let (policies, failures) = load(&dir, &tight()).await;
    assert_eq!(failures, []);
    assert_eq!(policies.compute_priority(&super::played::issue("any")).await, Ok(1.0));
}

#[tokio::test]
async fn a_contract_of_the_future_and_a_file_of_half_a_gigabyte_are_refused_by_name() {
    let dir = Scratch::with("future", &["future_contract.wasm"]);
    let large = fs::File::create(dir.0.join("large.wasm")).expect("writable");
    std::io::Write::write_all(&mut &large, b"\0asm\x0d\0\x01\0").expect("writable");
    // Sparse: nothing is written.
    large.set_len(500 << 20).expect("writable");
    let (_, failures) = load(&dir, &tight()).await;
    let check = |file: &str, step: LoadStep, part: &str| {
        let failure = failures.iter().find(|failure| failure.path.ends_with(file)).expect(file);
        assert_eq!(failure.step, step, "{failure}");
        assert!(failure.reason.contains(part), "{failure}");
    };
    check("future_contract.wasm", LoadStep::Imports, "this pgheal speaks 0.1");
    check("large.wasm", LoadStep::Read, "larger than");
}

/// What every limit ended leaves no memory behind. Measured in a process of its own: the memory of this one is that of
/// all cases that run beside this one, too.
#[tokio::test]
async fn memory_returns_to_where_it_was() {
    if std::env::var_os(ALONE).is_none() {
        let program = std::env::current_exe().expect("this program");
        let name = concat!(module_path!(), "::memory_returns_to_where_it_was");
        let (_, name) = name.split_once("::").expect("a crate's name");
        let mut alone = tokio::process::Command::new(program);
        alone.args(["--exact", name, "--nocapture"]).env(ALONE, "1").kill_on_drop(true);
        let output = alone.output().await.expect("this program starts");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let dir = Scratch::with("returns", &["misbehaving.wasm"]);
    let mut limits = tight();
    limits.effect.guest_time = std::time::Duration::from_millis(20);
    let (policies, _) = load(&dir, &limits).await;
    let attack = async || {
        for id in ["memory", "loop", "panic", "panic-long", "overflow", "host-calls", "big", "stubborn"] {
            let issue = super::played::issue(id);
            let context = super::played::context(&issue);
            let answer = policies.propose("misbehaving", &issue, &context, super::played::Played::new()).await;
            assert!(answer.is_err(), "{id}: {answer:?}");
        }
    };
    // Slots of the pool stay mapped once they were used; what the attacks leave beyond that would add up.
    for _ in 0..5 {
        attack().await;
    }
    let before = resident_bytes();
    for _ in 0..30 {
        attack().await;
    }
    let grown = resident_bytes().saturating_sub(before);
    // One page of a component's memory (64 KiB) kept by each of them would be 15 MiB.
    assert!(grown < 4 << 20, "{} KiB more after 240 attacks", grown >> 10);
}

/// Set for the process of its own.
const ALONE: &str = "PGHEAL_TEST_ALONE";

fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") << 10
}
