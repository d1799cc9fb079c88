//! The Debian package: laid out, built by cargo-deb, and looked at.

mod deb;
mod stage;
mod verify;

use std::path::Path;

use anyhow::Result;
use clap::Args;

use crate::{cargo, guests, setup};

/// Where the package, and what goes into it, are built.
const DIRECTORY: &str = "target/package";

#[derive(Args)]
pub struct Options {
    /// Installs the package into a fresh Debian in a folder, too; needs root, debootstrap, and Debian's archive
    #[arg(long)]
    chroot: bool,
    /// Looks only at the package that was built last
    #[arg(long)]
    verify_only: bool,
}

/// Builds the program and its policies, packs them, and checks what came of it.
pub fn run(workspace: &Path, options: &Options) -> Result<()> {
    let directory = workspace.join(DIRECTORY);
    if !options.verify_only {
        let policies = guests::shipped_policies(workspace)?;
        setup::policies(workspace, &policies)?;
        cargo::build(workspace)?;
        stage::lay_out(workspace, &directory.join("stage"), &policies)?;
        deb::build(workspace, &directory)?;
    }
    let package = deb::find(&directory)?;
    verify::package(&directory, &package)?;
    if options.chroot {
        verify::in_chroot(&directory, &package)?;
    }
    println!("{}", package.display());
    Ok(())
}
