//! Measures pgheal against what PostgreSQL itself offers, in one run and as ratios: `cargo xtask bench --help`.

mod audit;
mod heal;
mod status;
mod targets;
mod world;

use anyhow::{Result, bail};

use world::World;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let large = arguments.iter().any(|argument| argument == "--large");
    let world = World::start()?;
    match arguments.first().map(String::as_str) {
        Some("audit") => audit::run(&world, large).await,
        Some("heal") => heal::run(&world, large).await,
        Some("status") => status::run(&world).await,
        Some("targets") => targets::run(&world).await,
        _ => bail!("usage: pgheal-bench audit|heal|status|targets [--large]; better: cargo xtask bench"),
    }
}
