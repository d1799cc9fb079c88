//! Policies: WebAssembly components that score issues and repair them, in a sandbox.

mod policy_host;

pub use policy_host::{
    BuildOptions, Candidate, Comparison, HostError, PolicyHost, Reinsertion, SettingScope, SqlRows, SqlValue,
};
