//! Arbitrary and mutated hnsw pages must never make the decoder panic. With a stable toolchain, from host/fuzz:
//!
//! ```sh
//! cargo install cargo-fuzz
//! RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir . --sanitizer none hnsw_page -- -max_total_time=300 -max_len=20000
//! ```
//!
//! Without a sanitizer, panics and failed overflow checks are what it finds; the only unsafe code are the distance
//! kernels.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgheal_fuzz::fuzz;
use pgheal_fuzz::model::AccessMethod;

fuzz_target!(|data: &[u8]| fuzz(AccessMethod::Hnsw, data));
