//! Builds policies: crates to WebAssembly, WebAssembly to components. One implementation for the workspace's own
//! policies (`cargo xtask guests`) and for those of everybody else (`pgheal policy build`).

mod component;
mod package;
mod toolchain;

pub use component::{check_imports, componentize, componentize_for};
pub use package::{Built, build_package};
pub use toolchain::{PROFILE_OF_MACROS, TARGET, Toolchain, cargo_build, toolchain};
