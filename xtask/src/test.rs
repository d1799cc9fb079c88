use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::cargo::{self, TestSet};
use crate::{languages, setup};

#[derive(Args)]
pub struct Options {
    /// Only tests whose names hold this
    filter: Option<String>,
}

/// Unit tests of the tools, of the policies (natively) and of the product; then the end-to-end tests. All are run even
/// where some fail.
pub fn run(workspace: &Path, options: &Options) -> Result<ExitCode> {
    let install = setup::all(workspace)?;
    // Fetching and the other languages' compilers use one core, mostly: the product is built meanwhile.
    std::thread::scope(|scope| {
        let others = scope.spawn(|| setup::for_tests(workspace));
        cargo::build_tests(workspace)?;
        others.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let filter = options.filter.as_deref();
    let environment = [
        ("PGHEAL_TEST_PG", install.root().as_os_str().to_owned()),
        ("PGHEAL_POLICIES_DIR", workspace.join(setup::POLICIES).into()),
        ("PGHEAL_TEST_POLICIES_DIR", workspace.join(setup::TEST_POLICIES).into()),
        ("PGHEAL_EXAMPLES_DIR", workspace.join(languages::EXAMPLES).into()),
        ("PGHEAL_BIN", cargo::program(workspace, "pgheal").into()),
    ];
    let policies = ["pgheal-guest-sdk", "prioritizer-default", "parameter-tuning", "index-rebalance"];
    let tools = ["xtask", "pgheal-guest-build", "pgheal-test-server"];
    let sets = [
        TestSet { packages: &tools, ..TestSet::default() },
        // Beside their components: what their macros need is built there already.
        TestSet {
            packages: &policies,
            target_dir: Some(cargo::GUESTS_TARGET),
            profile: &pgheal_guest_build::PROFILE_OF_MACROS,
            ..TestSet::default()
        },
        TestSet { packages: &cargo::PRODUCT, more_arguments: &cargo::TESTS, ..TestSet::default() },
    ];
    let mut failed = Vec::new();
    for set in sets {
        if !cargo::test(workspace, &set, filter, &environment)?.success() {
            failed.push(set.packages.join(", "));
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("tests failed in: {}", failed.join("; "));
    Ok(ExitCode::FAILURE)
}
