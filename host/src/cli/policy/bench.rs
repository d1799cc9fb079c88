use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use comfy_table::{Table, presets};

use super::super::ExitStatus;
use super::test::sample_issue;
use crate::cli::output::say;
use crate::components::{CallBench, PolicyConfigs, PolicyKind, Timing, Trust};

/// What a sandboxed compute-priority may cost: against bare wasmtime, and in absolute terms.
const GOAL_RATIO: f64 = 1.5;
const GOAL: Duration = Duration::from_micros(30);
const MAX_SECONDS: f64 = 600.0;

#[derive(Debug, Args)]
pub struct BenchCommand {
    /// The component.
    file: PathBuf,
    /// How long to measure.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
}

pub(super) async fn bench(command: &BenchCommand) -> anyhow::Result<ExitStatus> {
    ensure!(command.seconds > 0.0 && command.seconds <= MAX_SECONDS, "--seconds lies in 0..{MAX_SECONDS}");
    let duration = Duration::from_secs_f64(command.seconds);
    let bench =
        CallBench::run(&command.file, PolicyConfigs::default(), &Trust::default(), &sample_issue(), duration).await?;
    let bench = match bench {
        Ok(bench) => bench,
        Err(failure) => {
            say!("{failure}");
            return Ok(ExitStatus::Issues);
        }
    };
    say!("{} {}, sha256 {}", bench.info.kind, bench.info.name, bench.info.digest);
    say!("{} samples of each, turn by turn\n", bench.sandboxed.samples);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["", "p50 us", "p99 us"]);
    let mut row = |what: String, timing: &Timing| {
        table.add_row([what, micros(timing.p50), micros(timing.p99)]);
    };
    row(format!("fresh instance + {}, all limits armed", bench.function), &bench.sandboxed);
    row("  instantiate only".to_owned(), &bench.instantiate);
    row(format!("  {} only", bench.function), &bench.call);
    if let Ok(bare) = &bench.bare {
        row(format!("bare wasmtime: fresh instance + {}, no fuel, no epochs", bench.function), bare);
    }
    say!("{table}\n");
    say!("fuel of a call: {}", bench.fuel);
    say!("memory of an instance: {} KiB", bench.memory_bytes.div_ceil(1024));
    match &bench.bare {
        Ok(bare) => {
            let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64().max(f64::MIN_POSITIVE);
            let at_median = ratio(bench.sandboxed.p50, bare.p50);
            let at_p99 = ratio(bench.sandboxed.p99, bare.p99);
            say!("against bare wasmtime: {at_median:.2}x at the median, {at_p99:.2}x at p99");
            if bench.info.kind == PolicyKind::Prioritizer {
                let verdict = if at_median <= GOAL_RATIO && bench.sandboxed.p50 <= GOAL { "reached" } else { "missed" };
                say!("goal: p50 <= {} us and <= {GOAL_RATIO}x at the median: {verdict}", GOAL.as_micros());
            }
        }
        Err(reason) => say!("against bare wasmtime: not measured: {reason}"),
    }
    Ok(ExitStatus::Healthy)
}

fn micros(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e6)
}
