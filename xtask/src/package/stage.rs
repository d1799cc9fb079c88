use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::verify::output_of;
use crate::{cargo, setup};

/// The shells, and the names that their completions have in a distribution.
const COMPLETIONS: [(&str, &str); 3] = [("bash", "pgheal.bash"), ("zsh", "_pgheal"), ("fish", "pgheal.fish")];

/// What the package has beside the program and files of the repository: man pages and completions, by the program
/// itself, and the shipped policies only, whatever else lies where they were built.
pub fn lay_out(workspace: &Path, stage: &Path, policies: &[String]) -> Result<()> {
    if stage.exists() {
        fs::remove_dir_all(stage)?;
    }
    let program = cargo::program(workspace, "pgheal");
    for directory in ["man", "completions", "policies"] {
        fs::create_dir_all(stage.join(directory))?;
    }
    output_of(&program, &["man".as_ref(), stage.join("man").as_os_str()])?;
    for (shell, file) in COMPLETIONS {
        let text = output_of(&program, &["completions".as_ref(), shell.as_ref()])?;
        fs::write(stage.join("completions").join(file), text)?;
    }
    for policy in policies {
        let file = format!("{}.wasm", policy.replace('-', "_"));
        let built = workspace.join(setup::POLICIES).join(&file);
        fs::copy(&built, stage.join("policies").join(&file)).with_context(|| built.display().to_string())?;
    }
    Ok(())
}
