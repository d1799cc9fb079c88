//! Does what its issue's id says. Every limit of the sandbox has one.

use pgheal_guest_sdk::*;

struct Misbehaving;

impl Strategy for Misbehaving {
    fn name() -> String {
        "misbehaving".to_owned()
    }

    fn can_repair(issue: &Issue) -> bool {
        if issue.id == "loop" {
            spin();
        }
        true
    }

    fn propose(issue: &Issue, _context: &RepairContext) -> String {
        match issue.id.as_str() {
            "loop" => spin(),
            "memory" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(vec![1u8; 1 << 20]);
                }
            }
            "panic" => panic!("on purpose"),
            "panic-long" => panic!("{}", "x".repeat(10 << 20)),
            // SAFETY: none; that is the point. The host has to notice.
            "not-utf8" => unsafe { String::from_utf8_unchecked(vec![b'a', 0xff, 0xc0]) },
            // Takes no refusal for an answer.
            "stubborn" => loop {
                let _ = host::database::query("SELECT pg_sleep(1)", &[]);
                let _ = index_of(issue).map(host::actions::vacuum);
            },
            "overflow" => format!("{}", deeper(1)),
            "host-calls" => loop {
                host::measure::past_duration_ms("x");
            },
            "logs" => {
                for line in 0..500 {
                    info!("line {line}");
                }
                "logged".to_owned()
            }
            "big" => "x".repeat(2 << 20),
            "other-index" => {
                let mut index = issue.index.clone().expect("the test gives one");
                index.oid += 1;
                format!("{:?}", host::measure::health(&index).map(|_| ()))
            }
            "slow-host" => match index_of(issue).map(host::measure::health) {
                Ok(Ok(health)) => format!("recall {:?}", health.recall),
                _ => "no health".to_owned(),
            },
            "query" => match host::database::query("SELECT $1", &[host::database::Value::Int64(7)]) {
                Ok(rows) => format!("{} rows, {:?}", rows.rows.len(), rows.rows[0]),
                Err(error) => host::explain(&error),
            },
            other => format!("unknown misbehaviour {other}"),
        }
    }

    fn repair(_issue: &Issue, _context: &RepairContext) -> Result<RepairResult, RepairError> {
        Ok(Report::new("").success())
    }

    fn validate(_issue: &Issue, _result: &RepairResult) -> bool {
        panic!("cannot validate")
    }

    fn rollback(_result: &RepairResult) -> Result<(), RepairError> {
        Err(RepairError::Host("nothing to take back".to_owned()))
    }

    fn estimated_duration(_issue: &Issue) -> u64 {
        u64::MAX
    }
}

export_strategy!(Misbehaving);

fn spin() -> ! {
    let mut turns = 0u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

fn deeper(depth: u64) -> u64 {
    if depth == u64::MAX {
        return 0;
    }
    std::hint::black_box([depth; 64])[0] + deeper(std::hint::black_box(depth + 1)) + depth
}
