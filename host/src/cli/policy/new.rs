use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};

use super::super::ExitStatus;
use crate::cli::output::{aside, say};

const MAX_NAME_BYTES: usize = 63;
/// Crates that every policy has already.
const TAKEN: [&str; 6] = ["alloc", "core", "pgheal-guest-sdk", "proc_macro", "std", "test"];

#[derive(Debug, Args)]
pub struct NewCommand {
    /// The policy's name: a to z, 0 to 9, _ and -.
    name: String,
    #[arg(long)]
    kind: Kind,
    /// Where the crate goes [default: NAME in the working directory].
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// Where pgheal-guest-sdk lies [default: guest-sdk in the source tree around the crate or around this program].
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// How issues are repaired.
    Strategy,
    /// Which issues are repaired first.
    Prioritizer,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Strategy => "strategy",
            Kind::Prioritizer => "prioritizer",
        }
    }
}

pub(super) fn new(command: &NewCommand) -> anyhow::Result<ExitStatus> {
    let name = &command.name;
    check_name(name)?;
    let dir = std::path::absolute(command.path.clone().unwrap_or_else(|| name.into()))?;
    let is_empty = fs::read_dir(&dir).map_or(true, |mut entries| entries.next().is_none());
    ensure!(is_empty, "{} is there already and not empty", dir.display());
    let sdk = match &command.sdk {
        Some(path) => {
            ensure!(is_sdk(path), "{} is not pgheal-guest-sdk", path.display());
            Some(path.canonicalize()?)
        }
        None => find_sdk(&dir),
    };
    for (file, text) in files(command.kind, name, sdk.as_deref()) {
        let path = dir.join(file);
        fs::create_dir_all(path.parent().unwrap_or(&dir)).with_context(|| path.display().to_string())?;
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    // The versions that the SDK was tested with; cargo drops what the policy does not need.
    if let Some(lock) =
        sdk.as_deref().and_then(Path::parent).map(|root| root.join("Cargo.lock")).filter(|l| l.is_file())
    {
        fs::copy(&lock, dir.join("Cargo.lock")).with_context(|| lock.display().to_string())?;
    }
    say!("{}", dir.display());
    match &sdk {
        Some(sdk) => aside!("it uses the SDK in {}", sdk.display()),
        None => aside!("no SDK was found here: it is taken from the registry; --sdk PATH names another place"),
    }
    aside!("next: cd there; cargo test; pgheal policy test .");
    Ok(ExitStatus::Healthy)
}

/// Good for a crate as well as for a policy.
fn check_name(name: &str) -> anyhow::Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    ensure!(
        name.len() <= MAX_NAME_BYTES && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(plain),
        "the name {name:?} is not made of 1 to {MAX_NAME_BYTES} of a-z, 0-9, _ and -, with a letter first"
    );
    ensure!(!TAKEN.contains(&name), "a crate cannot be named {name}");
    Ok(())
}

/// `guest-sdk` beside or above the new crate, or above this program (a build's `target/release`).
fn find_sdk(dir: &Path) -> Option<PathBuf> {
    let program = std::env::current_exe().ok();
    let places = dir.ancestors().chain(program.iter().flat_map(|program| program.ancestors()));
    places.map(|place| place.join("guest-sdk")).find(|sdk| is_sdk(sdk)).and_then(|sdk| sdk.canonicalize().ok())
}

fn is_sdk(path: &Path) -> bool {
    fs::read_to_string(path.join("Cargo.toml")).is_ok_and(|manifest| manifest.contains("name = \"pgheal-guest-sdk\""))
}

/// The files of a new crate, by their paths in it.
fn files(kind: Kind, name: &str, sdk: Option<&Path>) -> Vec<(String, String)> {
    let sdk = match sdk {
        // JSON's texts are TOML's too, whatever the path holds.
        Some(path) => format!("{{ path = {} }}", serde_json::Value::from(path.display().to_string())),
        None => format!("\"{}\"", env!("CARGO_PKG_VERSION")),
    };
    let fill = |template: &str| {
        template
            .replace("{name}", name)
            .replace("{file}", &name.replace('-', "_"))
            .replace("{kind}", kind.as_str())
            .replace("{sdk}", &sdk)
    };
    let (code, issues) = match kind {
        Kind::Strategy => (include_str!("templates/strategy.rs.in"), include_str!("templates/strategy.json.in")),
        Kind::Prioritizer => {
            (include_str!("templates/prioritizer.rs.in"), include_str!("templates/prioritizer.json.in"))
        }
    };
    vec![
        ("Cargo.toml".to_owned(), fill(include_str!("templates/Cargo.toml.in"))),
        ("src/lib.rs".to_owned(), fill(code)),
        ("tests/issues/examples.json".to_owned(), issues.to_owned()),
        ("README.md".to_owned(), fill(include_str!("templates/README.md.in"))),
        (".gitignore".to_owned(), "/target\n".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_crates_and_policies() {
        let check = |name: &str, expected: bool| assert_eq!(check_name(name).is_ok(), expected, "{name}");
        check("reindex-at-night", true);
        check("a", true);
        check("my_rule_2", true);
        check("2nd", false);
        check("Big", false);
        check("", false);
        check("a/b", false);
        check("\u{e9}", false);
        check("core", false);
        check(&"x".repeat(64), false);
    }

    #[test]
    fn what_is_written_is_whole() {
        for kind in [Kind::Strategy, Kind::Prioritizer] {
            let files = files(kind, "my-rule", Some(Path::new("/a \"b\"/guest-sdk")));
            let manifest = &files.iter().find(|(path, _)| path == "Cargo.toml").unwrap().1;
            let manifest: toml::Table = manifest.parse().unwrap();
            let path = manifest["dependencies"]["pgheal-guest-sdk"]["path"].as_str();
            assert_eq!(path, Some("/a \"b\"/guest-sdk"));
            for (path, text) in &files {
                for hole in ["{name}", "{file}", "{kind}", "{sdk}"] {
                    assert!(!text.contains(hole), "{path} has {hole}");
                }
            }
        }
    }
}
