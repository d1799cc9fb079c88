//! A released contract never changes, and what was built for it loads for ever.

use std::fs;

use anyhow::{Context, Result};
use pgheal::components::*;
use sha2::{Digest, Sha256};

use super::support::workspace;

/// `wit/RELEASED` holds a line for each released file: SHA-256 and path. To change the contract, add a version.
#[test]
fn released_contracts_are_unchanged() -> Result<()> {
    let wit = workspace().join("wit");
    let released = fs::read_to_string(wit.join("RELEASED"))?;
    let mut count = 0;
    for line in released.lines().filter(|line| !line.starts_with('#')) {
        let (expected, file) = line.split_once("  ").with_context(|| format!("wit/RELEASED: {line:?}"))?;
        let found: String =
            Sha256::digest(fs::read(wit.join(file))?).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, expected, "wit/{file} is released: add a version instead of changing it");
        count += 1;
    }
    assert!(count > 0, "no released contract");
    Ok(())
}

/// `tests/guests/archive/VERSION/` holds components as they were built when the version was released.
#[tokio::test]
async fn archived_components_still_load_and_answer() -> Result<()> {
    let archive = workspace().join("tests/guests/archive/0.1");
    let (policies, failures) = Policies::load_dir(&archive, &Limits::default(), None).await?;
    assert_eq!(failures, []);
    let kinds: Vec<(String, ContractVersion)> = policies
        .strategies()
        .into_iter()
        .chain(policies.prioritizers())
        .map(|info| (info.name, info.shape.contract))
        .collect();
    let expected = [("parameter_tuning", ContractVersion::V0_1), ("prioritizer_default", ContractVersion::V0_1)];
    assert_eq!(kinds, expected.map(|(name, contract)| (name.to_owned(), contract)));
    let issue = super::components::played::issue("any");
    assert!(policies.compute_priority(&issue).await? > 0.0);
    assert!(policies.can_repair("parameter_tuning", &issue).await?);
    Ok(())
}
