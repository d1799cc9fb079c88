mod guests;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build policies into target/policies, by default all of strategies/.
    Guests {
        /// Packages under strategies/ or tests/guests/.
        packages: Vec<String>,
        /// The misbehaving policies of the tests, too (target/test-policies).
        #[arg(long)]
        tests: bool,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Guests { packages, tests } => build_guests(packages, tests),
    }
}

fn build_guests(mut packages: Vec<String>, tests: bool) -> anyhow::Result<()> {
    let root = workspace_root();
    if packages.is_empty() {
        packages = guests::shipped_policies(root)?;
    }
    if tests {
        packages.extend(guests::test_policies(root)?);
    }
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let built: Vec<PathBuf> = guests::build_guests(root, &packages)?;
    for path in built {
        println!("{}", path.display());
    }
    Ok(())
}

fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}
