//! For tests of recovery: `PGHEAL_FAILPOINT=<name>` makes the process die there, as kill -9 would. The names:
//! before_build, during_build (the statement was sent), after_build, before_compare, after_compare, before_swap,
//! after_swap, before_drop, after_drop of a repair; deploy_before_rename, deploy_after_rename, rollback_before_rename,
//! rollback_after_rename, reload_before_state, reload_after_state of a policy's file.

/// Dies if the environment asks for it at this point.
pub fn hit(name: &str) {
    if std::env::var_os("PGHEAL_FAILPOINT").is_some_and(|wanted| wanted == name) {
        std::process::abort();
    }
}
