use std::thread;

use anyhow::{Context, Result};
use rayon::ThreadPoolBuilder;
use wasmtime::Engine;
use wasmtime::component::Component;

/// What a compiler's thread gives way by, of 0 to 19: a runnable thread of the daemon gets about nine times its share.
const NICENESS: libc::c_int = 10;

/// Compiles a component. A large one (a language's whole runtime) takes many seconds of every core, so the threads
/// are of its own and give way: calls of the policies that serve meanwhile go first. They end with the compilation.
///
/// # Errors
/// Where the bytes are no component that this engine can run.
pub(super) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let pool = ThreadPoolBuilder::new()
        .num_threads(cores)
        .thread_name(|number| format!("policy-compiler-{number}"))
        .start_handler(|_| give_way())
        .build()
        .context("the compiler's threads cannot be started")?;
    Ok(pool.install(|| Component::from_binary(engine, bytes))?)
}

/// Lowers the priority of this thread.
fn give_way() {
    // SAFETY: the call reads its arguments only. On Linux the priority is a thread's own, and 0 names the calling one.
    let failed = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICENESS) } != 0;
    if failed {
        tracing::debug!("the compiler runs at the usual priority: {}", std::io::Error::last_os_error());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compilers_threads_give_way_and_ours_does_not() {
        // SAFETY: the call reads its arguments only.
        let niceness = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let ours = niceness();
        let of_compiler = thread::spawn(move || {
            give_way();
            niceness()
        });
        assert_eq!(of_compiler.join().expect("the thread only asks"), NICENESS.max(ours));
        assert_eq!(niceness(), ours);
    }
}
