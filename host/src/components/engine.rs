use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use wasmtime::{Config, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::limits::Limits;

/// How often a running policy is looked at.
const TICK: Duration = Duration::from_millis(10);
/// The whole range of a 32-bit address: accesses need no bounds check.
const FULL_RESERVATION_BYTES: u64 = 4 << 30;
/// What a component of another language brings along: a runtime in several modules, and one for each interface of WASI
/// that it is cut off from. componentize-py 0.25 makes 38. They count only; nothing is reserved for them.
const CORE_INSTANCES_PER_CALL: u32 = 64;
const MEMORIES_PER_CALL: u32 = 2;
const TABLES_PER_CALL: u32 = 4;
const TABLE_ELEMENTS: usize = 100_000;
/// Left mapped in a slot after a call, so that the next instance finds its pages there. More costs more in clearing
/// it: a call took 25 us with 0 to 128 KiB and 40 us with 1 MiB.
const KEEP_RESIDENT_BYTES: usize = 32 << 10;
const BACKTRACE_FRAMES: usize = 20;

/// The one engine of all policies, with its ticker. `memory_bytes` is the most that any policy's limit allows.
/// The ticker ends when the engine is gone.
pub(super) fn start(limits: &Limits, memory_bytes: usize) -> Result<Engine> {
    // Reserving 4 GiB a slot costs address space only; where that is limited (ulimit -v, strict containers),
    // small slots with bounds checks do as well.
    let engine = Engine::new(&config(limits, memory_bytes, FULL_RESERVATION_BYTES))
        .or_else(|_| Engine::new(&config(limits, memory_bytes, 0)))
        .map_err(anyhow::Error::from)
        .context("the WebAssembly engine cannot be started; is the address space limited (ulimit -v)?")?;
    let weak = engine.weak();
    thread::Builder::new()
        .name("policy-ticker".to_owned())
        .spawn(move || tick(&weak))
        .context("the ticker thread of the policy sandbox cannot be started")?;
    Ok(engine)
}

/// An engine without fuel, epochs and their checks in the compiled code, all else alike: what the sandbox is measured
/// against.
pub(super) fn bare(limits: &Limits, memory_bytes: usize) -> Result<Engine> {
    let unmetered = |reservation_bytes| {
        let mut config = config(limits, memory_bytes, reservation_bytes);
        config.consume_fuel(false).epoch_interruption(false);
        config
    };
    Ok(Engine::new(&unmetered(FULL_RESERVATION_BYTES)).or_else(|_| Engine::new(&unmetered(0)))?)
}

fn tick(engine: &EngineWeak) {
    loop {
        thread::sleep(TICK);
        match engine.upgrade() {
            Some(engine) => engine.increment_epoch(),
            None => return,
        }
    }
}

fn config(limits: &Limits, memory_bytes: usize, reservation_bytes: u64) -> Config {
    let calls = limits.concurrent_calls;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls * CORE_INSTANCES_PER_CALL)
        .total_memories(calls * MEMORIES_PER_CALL)
        .total_tables(calls * TABLES_PER_CALL)
        .total_stacks(calls)
        .max_core_instances_per_component(CORE_INSTANCES_PER_CALL)
        .max_memories_per_component(MEMORIES_PER_CALL)
        .max_tables_per_component(TABLES_PER_CALL)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(memory_bytes)
        .max_unused_warm_slots(calls)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .async_stack_keep_resident(KEEP_RESIDENT_BYTES);
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .consume_fuel(true)
        .epoch_interruption(true)
        .wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES))
        .memory_reservation(reservation_bytes.max(memory_bytes as u64))
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
