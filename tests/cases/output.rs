//! What the commands say, and those who do not want to know.

use std::fs::OpenOptions;
use std::process::Stdio;

use anyhow::Result;

use super::support::{ConfigFile, PolicyDirectory, start, start_into};

/// As `pgheal ... | head -1` does, once it has its line.
#[tokio::test]
async fn a_reader_that_has_read_enough_is_no_error() -> Result<()> {
    let policies = PolicyDirectory::new("unread")?;
    let directory = policies.0.display().to_string();
    let config = ConfigFile::write("unread", "")?;
    let path = config.0.display().to_string();
    let commands: [&[&str]; 4] = [
        &["policy", "list", "--config", &path],
        &["policy", "list", "--config", &path, "--json"],
        &["install", "postgresql://postgres@localhost/shop", "--print"],
        &["completions", "bash"],
    ];
    for command in commands {
        let mut child = start(command, &[("PGHEAL_POLICIES_DIR", &directory)])?;
        drop(child.stdout.take());
        let ended = child.wait_with_output().await?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!((ended.status.code(), said.as_str()), (Some(0), ""), "{command:?}");
    }
    Ok(())
}

/// What was asked for is not in the file: whoever looks at the exit status must not think so.
#[tokio::test]
async fn a_full_disk_is_an_error() -> Result<()> {
    let full = OpenOptions::new().write(true).open("/dev/full")?;
    let child = start_into(Stdio::from(full), &["completions", "bash"], &[])?;
    let ended = child.wait_with_output().await?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.starts_with("pgheal: stdout cannot be written: No space left"), "{said}");
    Ok(())
}
